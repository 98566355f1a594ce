"""Downloaded files: whole and checked, or absent; downloaded once, however many processes ask."""

from __future__ import annotations

import errno
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable

import filelock
import platformdirs

from tl_toolkit.errors import InputError


class UnavailableError(InputError):
    """Weights are not available from their source.

    Attributes:
        source_is_down: Whether nothing else is available from that source either.
    """

    def __init__(self, message: str, source_is_down: bool = True) -> None:
        super().__init__(message)
        self.source_is_down = source_is_down


def cache_folder() -> pathlib.Path:
    """The user's cache folder of this toolkit, such as `~/.cache/tl_toolkit`."""
    return pathlib.Path(platformdirs.user_cache_dir("tl_toolkit"))


def file_digest(path: pathlib.Path, algorithm: str = "sha256") -> str:
    """Returns the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fetch_once(
    target: pathlib.Path,
    fetch: Callable[[pathlib.Path], pathlib.Path],
    check: Callable[[pathlib.Path], None],
) -> pathlib.Path:
    """Returns the file in the cache; fetches it first if it is missing or wrong.

    It is fetched into a temporary folder, checked and moved into place, while a lock keeps others waiting.

    Args:
        target: Its place.
        fetch: Writes the file into the folder that it is given, and returns the file's path.
        check: Raises `InputError` for a wrong file.

    Raises:
        UnavailableError: It cannot be fetched, or is the wrong file; nothing is left in the cache.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.with_name(f"{target.name}.lock")):
            for left_over in target.parent.glob(f"{target.name}.*.partial"):
                shutil.rmtree(left_over, ignore_errors=True)
            if target.is_file():
                try:
                    check(target)
                    return target
                except InputError:
                    target.unlink()
            with tempfile.TemporaryDirectory(".partial", f"{target.name}.", target.parent) as aside:
                fetched = fetch(pathlib.Path(aside))
                try:
                    check(fetched)
                except InputError as error:
                    raise UnavailableError(str(error), source_is_down=False) from error
                os.replace(fetched, target)
            return target
    except OSError as error:
        full = " The disk is full: make room." if error.errno == errno.ENOSPC else ""
        raise UnavailableError(f"Cannot write {str(target)!r}: {error.strerror}.{full}") from error
