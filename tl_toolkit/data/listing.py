"""All photos that a source names, good or bad: what an audit looks at."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from tl_toolkit.catalog import SPLITS, TRAIN
from tl_toolkit.data.dataset import FileImages, Images
from tl_toolkit.data.folder import list_folder
from tl_toolkit.data.image_folder import metadata_rows
from tl_toolkit.data.label_table import names_several_labels
from tl_toolkit.data.labelled_rows import LabelledRows, read_labelled_rows
from tl_toolkit.data.left_behind import left_behind_note
from tl_toolkit.data.open import open_images
from tl_toolkit.data.opening import Opening
from tl_toolkit.data.table_uri import parse_table_uri
from tl_toolkit.errors import InputError
from tl_toolkit.progress import SILENT, Progress


@dataclasses.dataclass(frozen=True)
class Listing:
    """Photos by name, none of them read.

    Attributes:
        class_names: In the order of the labels.
        names: str[n], each photo's path, or its split and number where it is no file.
        labels: int64[n].
        splits: str[n], the source's own.
        groups: str[n], such as patients; "" for none.
        weights: float32[n].
        read: Returns the contents of a photo by its number; raises OSError.
        are_files: Whether the names are paths.
        notes: What the user should know.
    """

    class_names: tuple[str, ...]
    names: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    read: Callable[[int], bytes]
    are_files: bool
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)


def list_photos(uri: str, progress: Progress = SILENT) -> Listing:
    """Lists the photos of a data URI; see `open_dataset`.

    Raises:
        InputError: The data cannot be opened.
    """
    kind, _, argument = uri.partition(":")
    if kind == "folder" and argument:
        return _of_folder(argument)
    if kind == "csv" and argument:
        return _of_table(argument)
    return _of_source(uri, progress)


def _of_folder(argument: str) -> Listing:
    rows = metadata_rows(argument, finds_all=False)
    if rows is not None:
        return _of_rows(rows)
    found = list_folder(argument)
    listed = [
        (path, label, split)
        for split, some in found.files.items()
        for path, label in zip(some.paths, some.labels.tolist(), strict=True)
    ]
    notes = (*found.notes, *left_behind_note(found.ignored))
    return _of_files(found.class_names, listed, notes=notes)


def _of_table(argument: str) -> Listing:
    if names_several_labels(argument):
        raise InputError(
            "An audit is for photos of one class, and these have several labels: copies, near-duplicates and bad files are "
            "found when they are opened, and a run's page shows photos whose labels are doubtful."
        )
    return _of_rows(read_labelled_rows(parse_table_uri(argument), finds_all=False))


def _of_rows(rows: LabelledRows) -> Listing:
    files = list(zip(rows.paths, rows.labels.tolist(), rows.splits.tolist(), strict=True))
    return _of_files(rows.class_names, files, rows.groups, rows.weights.tolist(), rows.notes)


def _of_files(
    class_names: tuple[str, ...],
    rows: list[tuple[str, int, str]],
    groups: list[str] | None = None,
    weights: list[float] | None = None,
    notes: tuple[str, ...] = (),
) -> Listing:
    paths = [path for path, _, _ in rows]
    return Listing(
        class_names=class_names,
        names=np.array(paths, object),
        labels=np.array([label for _, label, _ in rows], np.int64),
        splits=np.array([split for _, _, split in rows], str),
        groups=np.array(groups or [""] * len(rows), str),
        weights=np.array(weights or [1.0] * len(rows), np.float32),
        read=lambda number: pathlib.Path(paths[number]).read_bytes(),
        are_files=True,
        notes=notes,
    )


def _of_source(uri: str, progress: Progress) -> Listing:
    source = open_images(uri, Opening(progress=progress))
    splits = {
        name: split
        for name, split in zip(SPLITS, (source.train, source.validation, source.test), strict=True)
        if split is not None
    }
    images: list[tuple[Images, int]] = []
    names: list[str] = []
    for name, split in splits.items():
        are_files = isinstance(split.images, FileImages)
        for k in range(len(split)):
            images.append((split.images, k))
            names.append(str(split.images.paths[k]) if are_files else f"{name} {k}")  # type: ignore[attr-defined]

    def read(number: int) -> bytes:
        of_split, k = images[number]
        return of_split.encoded(k)

    return Listing(
        class_names=source.class_names,
        names=np.array(names, object),
        labels=np.concatenate([split.labels for split in splits.values()]),
        splits=np.array([name for name, split in splits.items() for _ in range(len(split))], str),
        groups=np.full(len(names), "", object),
        weights=np.ones(len(names), np.float32),
        read=read,
        are_files=isinstance(splits[TRAIN].images, FileImages),
        notes=tuple(source.notes),
    )
