"""`python -m tl_toolkit.cli`, which is `tl-toolkit`."""

from tl_toolkit.cli.app import main

if __name__ == "__main__":
    main()
