"""Photos as a user names them: files, and folders of them."""

from __future__ import annotations

import mimetypes
import os
import pathlib
from collections.abc import Iterable

from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.left_behind import is_left_behind_file, is_left_behind_folder
from tl_toolkit.errors import InputError


def photo_files(named: Iterable[str]) -> list[pathlib.Path]:
    """Returns the files that are named, in order, and in a folder's place all photos in it and its folders, by name.

    In a folder, files whose names have an ending that no photo has are left out, and what systems and tools leave behind,
    such as names that start with a dot.

    Raises:
        InputError: A folder holds none, or cannot be read.
    """
    files: list[pathlib.Path] = []
    for text in named:
        path = user_path(text)
        if not path.is_dir():
            files.append(path)
            continue
        found = _below(path)
        if not found:
            raise InputError(f"The folder {str(path)!r} holds no photos.")
        files += found
    return files


def _below(top: pathlib.Path) -> list[pathlib.Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"Cannot read the folder {error.filename!r}: {error.strerror}.") from error

    files: list[pathlib.Path] = []
    for parent, folders, names in os.walk(top, followlinks=True, onerror=refuse):
        kept = [folder for folder in folders if not is_left_behind_folder(folder)]
        folders[:] = sorted(kept, key=os.fsencode)  # in place: where `os.walk` goes next
        shown = [name for name in names if not is_left_behind_file(name) and _may_be_photo(name)]
        files += [pathlib.Path(parent, name) for name in sorted(shown, key=os.fsencode)]
    return files


def _may_be_photo(name: str) -> bool:
    if not pathlib.PurePath(name).suffix:
        return True
    kind, _ = mimetypes.guess_type(name)
    return kind is not None and kind.startswith("image/") and kind != "image/svg+xml"
