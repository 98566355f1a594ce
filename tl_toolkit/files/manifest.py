"""The size and sha256 of every file that this toolkit wrote into a finished folder, checked before they are read.

A manifest is written last. A part of the folder that has one of its own, such as `saved_model/`, is left to it: the
outer manifest names that one alone, and the part can be copied elsewhere and is still checked.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
from collections.abc import Collection, Iterable
from typing import Any

from tl_toolkit.errors import InputError
from tl_toolkit.files.checked_json import read_checked_json, write_checked_json
from tl_toolkit.files.user_cache import file_digest

MANIFEST = "tl_toolkit.manifest.json"
MISSING = "is missing"
NO_SUCH_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


@dataclasses.dataclass(frozen=True)
class Verification:
    """How the files of a finished folder compare with its manifest; all names are relative to the folder.

    Attributes:
        folder: The folder.
        intact: Files that are as they were written.
        damaged: Files that are not, and what is wrong with each.
        missing: Files that are gone.
        unknown: Files that no manifest lists, such as the user's own: nothing is wrong with them.

    Examples:
        >>> found = tl.verify("my_run")
        >>> found.damaged, found.missing
        ({}, ())
        >>> "model.keras" in found.intact
        True
    """

    folder: pathlib.Path
    intact: tuple[str, ...]
    damaged: dict[str, str]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether no file is damaged or missing."""
        return not self.damaged and not self.missing


def write_manifest(folder: pathlib.Path, files: Iterable[str]) -> None:
    """Writes the manifest of files in a folder, by their POSIX names relative to it."""
    names = sorted(name for name in files if name != MANIFEST)
    parts = [name.removesuffix(MANIFEST) for name in names if name.endswith(f"/{MANIFEST}")]
    listed = [
        name
        for name in names
        if not any(name.startswith(part) and name != part + MANIFEST for part in parts)
    ]
    write_checked_json(
        folder / MANIFEST, {"files": {name: _entry(folder / name) for name in listed}}
    )


def list_anew(folder: pathlib.Path, files: Iterable[str]) -> None:
    """Lists files in a finished folder's manifest as they are now, where this toolkit has written them again.

    A folder without a manifest gets none. The manifests of the folders around it, which list this one, follow.

    Args:
        folder: The finished folder.
        files: POSIX names relative to it.
    """
    if not (folder / MANIFEST).is_file():
        return
    entries = _read(folder) | {name: _entry(folder / name) for name in files}
    write_checked_json(folder / MANIFEST, {"files": dict(sorted(entries.items()))})
    for parent in folder.absolute().parents:
        name = (folder.absolute() / MANIFEST).relative_to(parent).as_posix()
        if (parent / MANIFEST).is_file() and name in _read(parent):
            list_anew(parent, [name])
            return


def check_file(path: pathlib.Path, folder: pathlib.Path | None = None, way_out: str = "") -> None:
    """Refuses a file that its folder's manifest lists and that is not as it was written.

    Args:
        path: The file.
        folder: Where the manifest is; None: the file's own folder. Without a manifest nothing is checked.
        way_out: What can be done about it, in addition to what the message says.

    Raises:
        InputError: The file is damaged or missing, or the manifest is damaged.
    """
    folder = path.parent if folder is None else folder
    name = path.relative_to(folder).as_posix()
    entry = _read(folder).get(name)
    if entry is not None:
        _refuse_damaged(folder, name, entry, way_out)


def check_files(folder: pathlib.Path, but: Collection[str] = ()) -> None:
    """Refuses a folder of which a listed file, other than those named, is not as it was written.

    Raises:
        InputError: As `check_file`.
    """
    for name, entry in _read(folder).items():
        if name not in but:
            _refuse_damaged(folder, name, entry)


def verify(folder: str | pathlib.Path) -> Verification:
    """Compares every file of a finished folder with what was written: of a run, comparison, search or SavedModel.

    Args:
        folder: The folder.

    Raises:
        InputError: It has no manifest, or a damaged one.

    Examples:
        >>> tl.verify("my_run").is_whole
        True
    """
    folder = pathlib.Path(os.path.expanduser(folder))
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is not a folder. Expected that of a finished run.")
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"{str(folder)!r} has no {MANIFEST}, so nothing says what its files were. Expected the folder of a "
            "finished run, comparison or search, or a SavedModel of one; earlier versions wrote none."
        )
    listed, unreadable = _all_listed(folder, "")
    faults = {name: _fault(folder / name, entry) for name, entry in listed.items()}
    present = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )
    return Verification(
        folder,
        intact=tuple(name for name, fault in faults.items() if not fault),
        damaged={name: fault for name, fault in faults.items() if fault and fault != MISSING},
        missing=tuple(name for name, fault in faults.items() if fault == MISSING),
        unknown=tuple(
            name
            for name in present
            if name not in listed and name != MANIFEST and not name.startswith(tuple(unreadable))
        ),
    )


def _all_listed(folder: pathlib.Path, part: str) -> tuple[dict[str, Any], list[str]]:
    """Returns what the manifest lists, with what those of its parts list, and parts whose own cannot be read."""
    listed = {f"{part}{name}": entry for name, entry in _read(folder / part).items()}
    unreadable: list[str] = []
    for name in [name for name in listed if name.endswith(f"/{MANIFEST}")]:
        inner = name.removesuffix(MANIFEST)
        if _fault(folder / name, listed[name]):
            unreadable.append(inner)
            continue
        more, unreadable_too = _all_listed(folder, inner)
        listed |= more
        unreadable += unreadable_too
    return listed, unreadable


def _entry(path: pathlib.Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": file_digest(path)}


def _read(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Returns the entries of a folder's manifest by name; none where there is none."""
    path = folder / MANIFEST
    try:
        return read_checked_json(path)["files"]
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno in NO_SUCH_PLACE:
            return {}
        raise InputError(
            f"{str(path)!r} is damaged: {error}. It says what the files beside it were. Restore it from a copy, "
            "or remove it to use them unchecked."
        ) from error


def _refuse_damaged(
    folder: pathlib.Path, name: str, entry: dict[str, Any], way_out: str = ""
) -> None:
    fault = _fault(folder / name, entry)
    if fault:
        raise InputError(
            f"{str(folder / name)!r} {fault if fault == MISSING else f'is damaged: it {fault}'}. Restore it "
            f"from a copy, or make the folder anew.{way_out and ' ' + way_out} `tl-toolkit verify {folder}` "
            "checks every file."
        )


def _fault(path: pathlib.Path, entry: dict[str, Any]) -> str:
    """Returns what is wrong with a file; nothing if it is as it was written."""
    try:
        size = path.stat().st_size
        if size != entry["size"]:
            return f"has {size:,} bytes and was written with {entry['size']:,}"
        digest = file_digest(path)
    except OSError as error:
        if error.errno in NO_SUCH_PLACE:
            return MISSING
        return f"cannot be read: {error.strerror}"
    if digest != entry["sha256"]:
        return f"has the sha256 {digest} and was written with {entry['sha256']}"
    return ""
