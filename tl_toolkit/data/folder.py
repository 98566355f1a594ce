"""`folder:PATH`: a folder of class folders, or of train, validation and test folders of those."""

from __future__ import annotations

import array
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import SPLIT_ALIASES, SPLITS, TEST, TRAIN, VALIDATION, ValueRange
from tl_toolkit.data.content_digests import CHECKED, file_digests
from tl_toolkit.data.dataset import FileImages, ImageSource, Split
from tl_toolkit.data.decode import check_image
from tl_toolkit.data.file_names import path_in_text, printable, user_path, utf8_text
from tl_toolkit.data.labelled_files import LabelledFiles, group_copies, without_contradictions
from tl_toolkit.data.left_behind import (
    is_left_behind_file,
    is_left_behind_folder,
    left_behind_note,
)
from tl_toolkit.data.opening import AS_USUAL, Opening
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.data.photo_copies import PhotoCopies
from tl_toolkit.data.shrunk_photos import LEAST_SIDE, is_large, shrunk_file
from tl_toolkit.data.thumbnail_store import shown_or_blank
from tl_toolkit.data.thumbnails import thumbnail_of_readable
from tl_toolkit.errors import InputError


@dataclasses.dataclass(frozen=True)
class ListedFolder:
    """What lies in a folder of photos.

    Attributes:
        root: The folder.
        splits: The folder of each split.
        class_names: In alphabetical order.
        files: Of each split.
        notes: On files in no class.
        ignored: What systems and tools left behind.
    """

    root: pathlib.Path
    splits: dict[str, pathlib.Path]
    class_names: tuple[str, ...]
    files: dict[str, LabelledFiles]
    notes: list[str]
    ignored: list[pathlib.Path]


def load_folder(path: str, opening: Opening = AS_USUAL) -> ImageSource:
    """Reads the files' names and checks that every one is an image.

    Args:
        path: The folder. Its folders are the classes, in alphabetical order, and hold the images,
            in folders of their own if need be; or they are `train` with `validation` (`val`, `valid`),
            `test` or both next to it, each with the classes' folders. What systems and tools leave
            behind, such as `Thumbs.db` and names that start with a dot, is ignored; a note counts it.
        opening: How its photos are opened. Bad are damaged files, files that are not images, and copies of one file in two
            classes.

    Returns:
        The source; licence unknown.

    Raises:
        InputError: No folder, fewer than two classes, an empty class, or a bad image.
    """
    found = list_folder(path)
    root, splits, class_names, listed = found.root, found.splits, found.class_names, found.files
    read = check_files(functools.reduce(LabelledFiles.joined, listed.values()), opening)
    bad: list[tuple[str, str]] = []
    files: dict[str, LabelledFiles] = {}
    first = 0
    for split, some in listed.items():
        checked = without_contradictions(read.files.part(first, first + len(some)))
        bad += checked.bad()
        files[split] = checked.take(checked.sound()) if checked.faults else checked
        first += len(some)
    notes = report_bad(bad, root, opening)
    for split, checked in files.items():
        present = set(np.unique(checked.labels).tolist())
        for label, name in enumerate(class_names):
            if label not in present:
                raise InputError(f"Class {name!r} in {str(splits[split])!r} has no readable image.")
    keys, copies = group_copies(files, opening, read.thumbnails)
    notes += [*copies, *found.notes, *left_behind_note(found.ignored)]

    made: dict[str, Split] = {}
    first_id = 0
    for split, checked in files.items():
        images = FileImages(checked.paths, opening.value_range)
        made[split] = Split.of(images, checked.labels, first_id, groups=keys[split])
        first_id += len(checked)
    return ImageSource(
        class_names=class_names,
        train=made[TRAIN],
        validation=made.get(VALIDATION),
        test=made.get(TEST),
        groups=np.unique(keys[TRAIN], return_inverse=True)[1],
        notes=tuple(notes),
    )


def list_folder(path: str) -> ListedFolder:
    """Lists the files that should be images; none is read. The argument and errors are `load_folder`'s."""
    root = user_path(path)
    splits = _split_folders(root)
    class_names = _class_names(splits[TRAIN])
    listed: dict[str, LabelledFiles] = {}
    loose, ignored = _beside_folders({root, *splits.values()})
    for split, folder in splits.items():
        listed[split], left_behind = _list_files(folder, class_names)
        ignored += left_behind
    return ListedFolder(root, splits, class_names, listed, loose, ignored)


def _split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """The folder of each split; the root is the only one where it holds the classes' folders."""
    children = _folders(root)
    named = [child for child in children if child.name.lower() in SPLIT_ALIASES]
    splits = {SPLIT_ALIASES[child.name.lower()]: child for child in named}
    if TRAIN in splits and len(splits) == len(children):
        # Training first, so that its images' ids do not depend on what else there is.
        return {name: splits[name] for name in SPLITS if name in splits}
    # One class may well be called "train"; two such names are no coincidence.
    if TRAIN in splits and len(named) > 1:
        raise InputError(
            f"{str(root)!r} must hold class folders, or only one folder each for training, validation "
            f"and test. Found: {', '.join(child.name for child in children)}."
        )
    return {TRAIN: root}


def _entries(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        return sorted(folder.iterdir(), key=os.fsencode)
    except OSError as error:
        raise InputError(
            f"Cannot read the folder {str(folder)!r}: {error.strerror}. "
            "Expected a folder that holds one folder of images per class."
        ) from error


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    entries = _entries(folder)
    return [e for e in entries if e.is_dir() and not is_left_behind_folder(e.name)]


def _class_names(folder: pathlib.Path) -> tuple[str, ...]:
    names = tuple(_class_name(child) for child in _folders(folder))
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise InputError(
            f"{str(folder)!r} must hold at least two class folders with images in them. Found: {found}."
        )
    return names


def _class_name(folder: pathlib.Path) -> str:
    name = utf8_text(folder.name)
    if name is None:
        raise InputError(
            f"The class folder {printable(folder)!r} has a name that is not UTF-8 text: rename it."
        )
    return name


def _list_files(
    folder: pathlib.Path, class_names: tuple[str, ...]
) -> tuple[LabelledFiles, list[pathlib.Path]]:
    """Returns the classes' files, and what is ignored among them."""
    found = {_class_name(child) for child in _folders(folder)}
    unknown = found - {*class_names}
    if unknown:
        raise InputError(
            f"{str(folder)!r} has classes that the training folder lacks: {', '.join(sorted(unknown))}."
        )
    ignored: list[pathlib.Path] = []
    labels = array.array("i")

    def files() -> Iterator[str]:
        for label, class_name in enumerate(class_names):
            if class_name not in found:  # as where it is empty: who needs images of it says so
                continue
            for path in _files_below(folder / path_in_text(class_name), ignored):
                labels.append(label)
                yield path

    paths = PathColumn.of(files())
    return LabelledFiles.unread(paths, np.array(labels, np.int32)), ignored


def _files_below(top: pathlib.Path, ignored: list[pathlib.Path]) -> Iterator[str]:
    """Yields the files of a folder and its folders; takes down what is ignored among them."""
    for parent, folders, names in os.walk(top, followlinks=True, onerror=_raise):
        ignored += [pathlib.Path(parent, f) for f in folders if is_left_behind_folder(f)]
        kept = [f for f in folders if not is_left_behind_folder(f)]
        folders[:] = sorted(kept, key=os.fsencode)  # in place: where `os.walk` goes next
        for name in sorted(names, key=os.fsencode):
            if is_left_behind_file(name):
                ignored.append(pathlib.Path(parent, name))
            else:
                yield f"{parent}{os.sep}{name}"


def _raise(error: OSError) -> None:
    raise InputError(f"Cannot read the folder {error.filename!r}: {error.strerror}.") from error


@dataclasses.dataclass(frozen=True)
class CheckedFiles:
    """Files that were read to their ends.

    Attributes:
        files: With their digests and faults.
        thumbnails: By digest, of those that were read now; empty where near-duplicates are not looked for.
    """

    files: LabelledFiles
    thumbnails: dict[str, np.ndarray]


def check_files(files: LabelledFiles, opening: Opening) -> CheckedFiles:
    """Reads every file that is new or has changed.

    Shrunk copies of large photos, where they are wanted, come nearly for nothing: the photos are read to the end anyway.

    Args:
        files: To read.
        opening: How they are opened. A photo that its value range cannot scale is at fault.
    """
    paths, value_range, seen = files.paths, opening.value_range, {}
    keeps_copies, is_seen = opening.prepare_photos, opening.group_near_duplicates
    copies = PhotoCopies(LEAST_SIDE, paths, value_range=value_range) if keeps_copies else None

    def check(contents: bytes, digest: str) -> None:
        photo, is_shrunk = _checked(contents, keeps_copies or is_seen, value_range)
        if copies is not None and is_shrunk:
            copies.keep(digest, photo)
        if is_seen:
            seen[digest] = shown_or_blank(thumbnail_of_readable(photo))

    name = CHECKED if value_range is None else "{} {!r} {!r}".format(CHECKED, *value_range)
    with opening.progress.stage("Checking photos", total=len(files)) as stage:
        found = file_digests(paths, check, stage, name)
    faults = {
        position: (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
        for position, fault in found.faults.items()
    }
    files = dataclasses.replace(files, digests=found.values, faults=faults)
    return CheckedFiles(files, seen)


def _checked(contents: bytes, shrink: bool, value_range: ValueRange | None) -> tuple[bytes, bool]:
    """Reads a photo to its end.

    Returns:
        The photo in a format that TensorFlow decodes, shrunk if it is large and that is wanted; and whether it is.
    """
    try:
        readable = decodable(contents, value_range)
        if shrink and is_large(readable, LEAST_SIDE):
            return shrunk_file(readable, LEAST_SIDE), True
        check_image(readable)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        raise InputError("damaged or cut short") from error
    return readable, False


def report_bad(bad: list[tuple[str, str]], root: pathlib.Path, opening: Opening) -> list[str]:
    """Returns a note for each bad file, of its path and why it is bad, or raises `InputError` where none is allowed."""
    if bad and opening.finds_all:
        more = f" And {len(bad) - 1} more." if len(bad) > 1 else ""
        raise InputError(
            f"{bad[0][0]!r} cannot be used: {bad[0][1]}.{more} Repair or remove "
            "the files, or skip them with on_bad_image='skip'."
        )
    return [f"skipped {_below(root, pathlib.Path(path))}: {fault}" for path, fault in bad]


def _below(root: pathlib.Path, path: pathlib.Path) -> str:
    """The path as it is shown: from the root on where it lies in there."""
    return printable(path.relative_to(root) if path.is_relative_to(root) else path)


def _beside_folders(tops: set[pathlib.Path]) -> tuple[list[str], list[pathlib.Path]]:
    """Returns notes on files that lie in no class, and on what is ignored next to the classes."""
    notes: list[str] = []
    ignored: list[pathlib.Path] = []
    for folder in sorted(tops):
        loose = 0
        for entry in _entries(folder):
            is_folder = entry.is_dir()
            if (is_left_behind_folder if is_folder else is_left_behind_file)(entry.name):
                ignored.append(entry)
            elif not is_folder:
                loose += 1
        if loose:
            files = f"{loose} file{'s' if loose > 1 else ''}"
            notes.append(f"not used: {files} directly in {printable(folder)}, in no class folder")
    return notes, ignored
