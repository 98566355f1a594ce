"""Where Keras and matplotlib keep their files, if the home folder does not take them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def name_library_folders() -> None:
    """Names a folder in this toolkit's cache to each library whose own could not be written to.

    Without a home folder TensorFlow's copy of Keras makes one that is called `~`, and Keras takes `/tmp/.keras`, which
    may be somebody else's; matplotlib complains, and reads all fonts again in every process. What the user has set
    stays. Call it before they are imported.
    """
    home = os.path.expanduser("~")  # `~` itself where there is none
    missing = {}
    if "KERAS_HOME" not in os.environ and not (os.path.isdir(home) and folder_can_be_made(home)):
        missing["KERAS_HOME"] = "keras"
    of_matplotlib = (
        os.path.join(os.environ.get(variable) or os.path.join(home, usual), "matplotlib")
        for variable, usual in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))
    )
    if not os.environ.get("MPLCONFIGDIR") and not all(map(folder_can_be_made, of_matplotlib)):
        missing["MPLCONFIGDIR"] = "matplotlib"
    if not missing:
        return
    # They take time to import, which nobody else shall wait for.
    from tl_toolkit.errors import InputError
    from tl_toolkit.files.user_cache import cache_folder

    # Where nothing can be written they make no folder either; what needs one says so.
    with contextlib.suppress(InputError):
        cache = cache_folder()
        for variable, name in missing.items():
            os.environ[variable] = str(cache / name)


@contextlib.contextmanager
def some_home() -> Iterator[None]:
    """Within it there is a home folder, in the cache if need be: for what does not start without one."""
    if os.path.isabs(os.path.expanduser("~")):
        yield
        return
    from tl_toolkit.files.user_cache import cache_folder

    with environment("HOME", cache_folder()):
        yield


@contextlib.contextmanager
def environment(variable: str, value: os.PathLike[str]) -> Iterator[None]:
    """Within it a variable of the environment has another value."""
    before = os.environ.get(variable)
    os.environ[variable] = str(value)
    try:
        yield
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before


def folder_can_be_made(folder: str) -> bool:
    """Whether a folder can be written to, or made."""
    if not os.path.isabs(folder):
        return False
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
