"""The folder that is kept between runs, and downloaded files in it: whole and checked, or absent; downloaded once,
however many processes ask.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Callable

import filelock
import platformdirs

from tl_toolkit.errors import InputError
from tl_toolkit.files.library_folders import folder_can_be_made

VARIABLE = "TL_TOOLKIT_CACHE"
WAY_OUT = "Set {} to a folder that can be written to"


TEMPORARY = "tmp"  # in the cache


class UnavailableError(InputError):
    """What is downloaded is not available from its source, or there is no place for it.

    Attributes:
        source_is_down: Whether nothing else is available from that source either.
    """

    def __init__(self, message: str, source_is_down: bool = True) -> None:
        super().__init__(message)
        self.source_is_down = source_is_down


def cache_folder() -> pathlib.Path:
    """Returns what `TL_TOOLKIT_CACHE` names, else the user's cache folder, such as `~/.cache/tl_toolkit`.

    Where there is no home folder, or none that can be written to, a folder of the user's own beside the temporary
    ones is made, said once, and named in `TL_TOOLKIT_CACHE` for the processes that this one starts.

    Raises:
        UnavailableError: Nothing can be written to.
    """
    if chosen := os.environ.get(VARIABLE):
        try:
            return pathlib.Path(chosen).expanduser().absolute()
        except RuntimeError as error:
            raise UnavailableError(f"{VARIABLE}={chosen!r} is not a folder: {error}") from error
    try:
        usual = home_cache_folder()
        usual.mkdir(parents=True, exist_ok=True)
        if os.access(usual, os.W_OK | os.X_OK):
            return usual
        reason = f"{str(usual)!r} cannot be written to"
    except RuntimeError:
        reason = "there is no home folder"
    except OSError as error:
        reason = f"{str(usual)!r} cannot be made ({error.strerror})"
    folder = _folder_beside_temporary_ones(reason)
    os.environ[VARIABLE] = str(folder)
    logging.getLogger("tl_toolkit").warning(
        f"note: downloads and features go to {str(folder)!r}, because {reason}. {VARIABLE} chooses another folder."
    )
    return folder


def home_cache_folder() -> pathlib.Path:
    """Returns the user's cache folder in any case; raises `RuntimeError` where there is no home folder."""
    return pathlib.Path(platformdirs.user_cache_dir("tl_toolkit"))


def cached_file(name: str) -> pathlib.Path:
    """Returns a file's place in the cache, or in the home folder's if that holds it and can only be read.

    Raises:
        UnavailableError: As for `cache_folder`.
    """
    with contextlib.suppress(RuntimeError):
        usual = home_cache_folder() / name
        if os.path.isfile(usual) and not folder_can_be_made(str(usual.parent)):
            return usual
    return cache_folder() / name


def provide_temporary_folder() -> None:
    """Gives Python, and the processes that it starts, a temporary folder in the cache if the system's are of no use.

    Python takes the working folder then, or fails; TensorFlow is not imported without one.

    Raises:
        UnavailableError: Nothing can be written to.
    """
    try:
        found = tempfile.gettempdir()  # the first of some in which a file can be written
        if found != os.getcwd() or found in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp"):
            return
    except FileNotFoundError:
        pass
    folder = cache_folder() / TEMPORARY
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"No temporary folder can be written to, and {str(folder)!r} cannot be made: {error.strerror}. "
            f"{WAY_OUT.format(VARIABLE)}"
        ) from error
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def _folder_beside_temporary_ones(reason: str) -> pathlib.Path:
    try:
        folder = pathlib.Path(tempfile.gettempdir(), f"tl_toolkit-{os.getuid()}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            status = folder.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if not is_ours or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                # Others could change what is read from it.
                return pathlib.Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
        return folder
    except OSError as error:
        raise UnavailableError(
            f"There is no folder for downloads, features and temporary files: {reason}, and no temporary folder "
            f"can be written to either. {WAY_OUT.format(VARIABLE)}"
        ) from error


def file_digest(path: pathlib.Path, algorithm: str = "sha256") -> str:
    """Returns the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fetch_once(
    target: pathlib.Path,
    fetch: Callable[[pathlib.Path], pathlib.Path],
    check: Callable[[pathlib.Path], None],
    variable: str = VARIABLE,
) -> pathlib.Path:
    """Returns the file in the cache; fetches it first if it is missing or wrong.

    It is fetched into a temporary folder, checked and moved into place, while a lock keeps others waiting.

    Args:
        target: Its place.
        fetch: Writes the file into the folder that it is given, and returns the file's path.
        check: Raises `InputError` for a wrong file.
        variable: Of the environment: chooses the cache.

    Raises:
        UnavailableError: It cannot be fetched, or is the wrong file; nothing is left in the cache.
    """
    if os.path.isfile(target):
        with contextlib.suppress(InputError):
            check(target)
            return target  # also where nothing can be written
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
        is_full = error.errno == errno.ENOSPC
        hint = "The disk is full: make room" if is_full else WAY_OUT.format(variable)
        raise UnavailableError(f"Cannot write {str(target)!r}: {error.strerror}. {hint}") from error
