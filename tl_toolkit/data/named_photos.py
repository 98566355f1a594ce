"""Photos as tables name them: files below a folder, or ids without the ending of the file."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from tl_toolkit.data.file_names import path_in_text, printable
from tl_toolkit.data.left_behind import is_left_behind_file
from tl_toolkit.data.photo_check import EXTENSIONS
from tl_toolkit.errors import InputError

PHOTO_ENDINGS = {ending for endings in EXTENSIONS.values() for ending in endings} | {".ico", ".tga"}
WAYS_OUT = (
    "suffix=.jpg in the URI gives the ending, and root=FOLDER the folder that the photos are in"
)


def photo_paths(
    names: Sequence[str], root: pathlib.Path, suffix: str | None = None, finds_all: bool = True
) -> tuple[list[str], str]:
    """Returns the path of each photo, and a note where endings were found.

    A name without the ending of a photo that is no file stands for the only photo of that stem in its folder.

    Args:
        names: As a table has them.
        root: The folder that they start from.
        suffix: Stands behind every name that does not have it; None: see above.
        finds_all: Whether a name without an ending that has no file is an error; False: it is kept.

    Raises:
        InputError: Several photos have that stem, or none of a table's has, or, with `finds_all`, one has none.
    """
    if suffix is not None:
        ending = suffix.lower()
        names = [name if name.lower().endswith(ending) else name + suffix for name in names]
    paths = [str(root / path_in_text(name)) for name in names]
    if suffix is not None:
        return paths, ""
    bare = [k for k, name in enumerate(names) if not _has_ending(name)]
    bare = [k for k in bare if not os.path.isfile(paths[k])]
    stems: dict[str, dict[str, list[str]]] = {}
    missing: list[str] = []
    for k in bare:
        folder, stem = os.path.split(paths[k])
        if folder not in stems:
            stems[folder] = _photos_by_stem(folder)
        found = stems[folder].get(stem, [])
        if len(found) > 1:
            raise InputError(
                f"The name {names[k]!r} stands for several photos: {', '.join(map(printable, found))}. {WAYS_OUT}."
            )
        if found:
            paths[k] = os.path.join(folder, found[0])
        else:
            missing.append(paths[k])
    if missing and (finds_all or len(missing) == len(names)):
        raise InputError(
            f"There is no photo {printable(missing[0])!r}, with any ending. {WAYS_OUT}."
        )
    count = len(bare) - len(missing)
    return paths, f"{count} photos are named without the ending of their file" if count else ""


def _has_ending(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PHOTO_ENDINGS


def _photos_by_stem(folder: str) -> dict[str, list[str]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return {}
    photos: dict[str, list[str]] = {}
    for name in names:
        if _has_ending(name) and not is_left_behind_file(name):
            photos.setdefault(os.path.splitext(name)[0], []).append(name)
    return photos
