"""The three transfer strategies and training from scratch, side by side: `make demo`.

    python recipes/compare.py

UCI digits, 5 labels a class in all, three seeds; each seed draws its own 50 images to learn from, and
all are tested on the same 898.

RESULT
"""

import pathlib

from rich.console import Console

from tl_toolkit.comparison import run_comparison

if __name__ == "__main__":
    run_comparison(
        data="digits",
        weights="digits",
        labels_per_class=5,
        test_fraction=0.5,
        seeds=3,
        output=pathlib.Path("saved_models/comparison"),
        overwrite=True,
        console=Console(),
    )
