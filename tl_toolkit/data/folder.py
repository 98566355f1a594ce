"""`folder:PATH`: a folder of class folders, or of train, validation and test folders of those."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import SPLIT_ALIASES, SPLITS, TEST, TRAIN, VALIDATION
from tl_toolkit.data.content_digests import file_digests
from tl_toolkit.data.dataset import FileImages, ImageSource, Split
from tl_toolkit.data.decode import check_image
from tl_toolkit.errors import InputError
from tl_toolkit.progress import SILENT, Progress


@dataclasses.dataclass(frozen=True)
class LabelledFile:
    """A file that should be an image; `fault` says why it cannot be used."""

    path: pathlib.Path
    label: int
    digest: str = ""
    fault: str = ""


def load_folder(path: str, on_bad_image: str = "error", progress: Progress = SILENT) -> ImageSource:
    """Reads the files' names and checks that every one is an image.

    Args:
        path: The folder. Its folders are the classes, in alphabetical order, and hold the images,
            in folders of their own if need be; or they are `train` with `validation` (`val`, `valid`),
            `test` or both beside it, each with the classes' folders. Names that start with a dot are
            passed over.
        on_bad_image: `"error"`, or `"skip"` to leave out files that are no image or are damaged and
            copies of one file in two classes; `notes` lists them.
        progress: Shows how many photos are checked.

    Returns:
        The source; licence unknown.

    Raises:
        InputError: No folder, no classes, one class, an empty class, or a bad image.
    """
    root = pathlib.Path(path).expanduser()
    splits = _split_folders(root)
    class_names = _class_names(splits[TRAIN])

    bad: list[LabelledFile] = []
    files: dict[str, list[LabelledFile]] = {}
    for split, folder in splits.items():
        checked = check_files(_list_files(folder, class_names), progress)
        checked = without_contradictions(checked)
        bad += [file for file in checked if file.fault]
        files[split] = [file for file in checked if not file.fault]
    notes = report_bad(bad, root, on_bad_image)
    for split, checked in files.items():
        present = {file.label for file in checked}
        for label, name in enumerate(class_names):
            if label not in present:
                raise InputError(f"Class {name!r} in {str(splits[split])!r} has no readable image.")
    groups, copies = group_copies(files)
    notes += copies
    notes += _report_loose(splits)

    made, first_id = {}, 0
    for split, checked in files.items():
        paths = np.array([str(file.path) for file in checked])
        made[split] = Split.of(FileImages(paths), [file.label for file in checked], first_id)
        first_id += len(checked)
    return ImageSource(class_names=class_names, groups=groups, notes=tuple(notes), **made)


def _split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """The folder of each split; the root is the only one where it holds the classes' folders."""
    children = _folders(root)
    named = [child for child in children if child.name.lower() in SPLIT_ALIASES]
    splits = {SPLIT_ALIASES[child.name.lower()]: child for child in named}
    if TRAIN in splits and len(splits) == len(children):
        # Training first, so that its images' ids do not depend on what else there is.
        return {name: splits[name] for name in SPLITS if name in splits}
    # One class may well be called "train"; two such names are no chance.
    if TRAIN in splits and len(named) > 1:
        raise InputError(
            f"{str(root)!r} must hold classes, or one folder each for training, validation and test "
            f"and no others. Found: {', '.join(child.name for child in children)}."
        )
    return {TRAIN: root}


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"Cannot read the folder {str(folder)!r}: {error.strerror}. "
            "Expected a folder with one folder of images a class."
        ) from error
    return [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]


def _class_names(folder: pathlib.Path) -> tuple[str, ...]:
    names = tuple(child.name for child in _folders(folder))
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise InputError(
            f"{str(folder)!r} must hold at least two class folders with images in them. Found: {found}."
        )
    return names


def _list_files(folder: pathlib.Path, class_names: tuple[str, ...]) -> list[LabelledFile]:
    unknown = [child.name for child in _folders(folder) if child.name not in class_names]
    if unknown:
        raise InputError(
            f"{str(folder)!r} has classes that the training folder has not: {', '.join(unknown)}."
        )
    files = []
    for label, name in enumerate(class_names):
        for parent, folders, names in os.walk(folder / name, followlinks=True, onerror=_raise):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            files += [
                LabelledFile(pathlib.Path(parent, n), label) for n in sorted(names) if n[0] != "."
            ]
    return files


def _raise(error: OSError) -> None:
    raise InputError(f"Cannot read the folder {error.filename!r}: {error.strerror}.") from error


def check_files(files: list[LabelledFile], progress: Progress = SILENT) -> list[LabelledFile]:
    """Reads every file that is new or has changed, and returns it with its digest or its fault."""

    def with_result(file: LabelledFile, found: str | OSError | InputError) -> LabelledFile:
        if isinstance(found, str):
            return dataclasses.replace(file, digest=found)
        fault = found.strerror if isinstance(found, OSError) else None
        return dataclasses.replace(file, fault=fault or str(found))

    with progress.stage("Checking photos", total=len(files)) as stage:
        digests = file_digests([str(file.path) for file in files], _check, stage)
    return [with_result(file, found) for file, found in zip(files, digests, strict=True)]


def _check(contents: bytes) -> None:
    try:
        check_image(contents)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        raise InputError(_in_words(error, contents)) from error


def _in_words(error: tf.errors.OpError, contents: bytes) -> str:
    if not contents:
        return "the file is empty"
    if contents[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return "HEIC and AVIF cannot be read: save it as JPEG"
    if "Unknown image file format" in error.message:
        return "not a JPEG, PNG, GIF, BMP or WebP image"
    return "damaged or cut short"


def without_contradictions(files: list[LabelledFile]) -> list[LabelledFile]:
    """Returns the files, with a fault for each whose copy has another label."""
    first: dict[str, LabelledFile] = {}
    for file in files:
        if file.digest:
            first.setdefault(file.digest, file)
    contradicted = {f.digest: f for f in files if f.digest and first[f.digest].label != f.label}

    def fault(file: LabelledFile) -> str:
        if file.digest not in contradicted:
            return file.fault
        ends = (first[file.digest], contradicted[file.digest])
        other = ends[0] if ends[0].label != file.label else ends[1]
        return f"the same image is in another class too: {other.path}"

    return [dataclasses.replace(file, fault=fault(file)) for file in files]


def report_bad(bad: list[LabelledFile], root: pathlib.Path, on_bad_image: str) -> list[str]:
    """Returns a note for each bad file, or raises `InputError` where none is allowed."""
    if bad and on_bad_image == "error":
        more = f" And {len(bad) - 1} more." if len(bad) > 1 else ""
        raise InputError(
            f"{str(bad[0].path)!r} cannot be used: {bad[0].fault}.{more} Repair or remove "
            "the files, or leave them out with on_bad_image='skip'."
        )
    return [f"left out {file.path.relative_to(root)}: {file.fault}" for file in bad]


def _report_loose(splits: dict[str, pathlib.Path]) -> list[str]:
    notes = []
    for folder in splits.values():
        loose = [e for e in folder.iterdir() if e.is_file() and not e.name.startswith(".")]
        if loose:
            notes.append(f"not used, beside the class folders of {folder}: {len(loose)} files")
    return notes


def group_copies(files: dict[str, list[LabelledFile]]) -> tuple[np.ndarray, list[str]]:
    """Returns int64[training files], equal for copies of one file, and notes on copies."""
    _, groups = np.unique([file.digest for file in files[TRAIN]], return_inverse=True)
    notes = []
    copies = len(groups) - len(np.unique(groups))
    if copies:
        notes.append(f"{copies} images are copies of others: copies are kept in one split")
    train = {file.digest for file in files[TRAIN]}
    for split in (VALIDATION, TEST):
        shared = sum(file.digest in train for file in files.get(split, ()))
        if shared:
            notes.append(f"{shared} {split} images are training images too: figures flatter")
    return groups, notes
