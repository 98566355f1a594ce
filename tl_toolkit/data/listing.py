"""All photos that a source names, good or bad: what an audit looks at."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from tl_toolkit.catalog import SPLITS, TRAIN
from tl_toolkit.data.csv_file import read_rows
from tl_toolkit.data.dataset import FileImages, Images
from tl_toolkit.data.folder import list_folder
from tl_toolkit.data.image_folder import metadata_rows
from tl_toolkit.data.labelled_rows import LabelledRows
from tl_toolkit.data.left_behind import left_behind_note
from tl_toolkit.data.open import open_images
from tl_toolkit.data.opening import Opening
from tl_toolkit.progress import SILENT, Progress


@dataclasses.dataclass(frozen=True)
class Listing:
    """Photos by name, none of them read.

    Attributes:
        class_names: In the order of the labels.
        names: str[n], each photo's path, or its split and number where it is no file.
        labels: int64[n]; or uint8[n, labels], of photos with several.
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
        return _of_rows(read_rows(argument, finds_all=False))
    return _of_source(uri, progress)


def _of_folder(argument: str) -> Listing:
    rows = metadata_rows(argument, finds_all=False)
    if rows is not None:
        return _of_rows(rows)
    found = list_folder(argument)
    return _of_files(
        found.class_names,
        [path for some in found.files.values() for path in some.paths],
        np.concatenate([some.labels for some in found.files.values()]),
        np.array([split for split, some in found.files.items() for _ in range(len(some))], str),
        notes=(*found.notes, *left_behind_note(found.ignored)),
    )


def _of_rows(rows: LabelledRows) -> Listing:
    groups = np.array(rows.groups, str) if rows.groups else None
    return _of_files(
        rows.class_names, rows.paths, rows.labels, rows.splits, groups, rows.weights, rows.notes
    )


def _of_files(
    class_names: tuple[str, ...],
    paths: Sequence[str],
    labels: np.ndarray,
    splits: np.ndarray,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> Listing:
    count = len(paths)
    return Listing(
        class_names=class_names,
        names=np.array(paths, object),
        labels=labels,
        splits=splits,
        groups=np.full(count, "", str) if groups is None else groups,
        weights=np.ones(count, np.float32) if weights is None else weights,
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
