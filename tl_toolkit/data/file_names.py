"""File names as users give them and as systems have them, which may be in no encoding at all."""

from __future__ import annotations

import os
import pathlib

from tl_toolkit.errors import InputError


def user_path(text: str) -> pathlib.Path:
    """Returns the path that a user means, `~` and `~name` resolved.

    Raises:
        InputError: It cannot be a path.
    """
    try:
        if "\0" in text:
            raise RuntimeError("a path cannot hold the character 0")
        return pathlib.Path(text).expanduser()
    except RuntimeError as error:  # pathlib's, where there is no such user
        raise InputError(f"{text!r} is not a path: {error}") from error


def path_in_text(text: str) -> str:
    """Returns the path that a UTF-8 text names, whatever encoding this process has for file names."""
    return os.fsdecode(text.encode())


def printable(path: str | os.PathLike[str]) -> str:
    """Returns a path as text that any UTF-8 file or terminal takes; bytes of no character as `\\xe9`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def utf8_text(name: str) -> str | None:
    """Returns a file's name as text, whatever encoding this process has; None where it is not UTF-8."""
    try:
        return os.fsencode(name).decode()
    except UnicodeDecodeError:
        return None
