"""`folder:PATH`: class folders, or photos with a `metadata` table beside them, as Hugging Face's `imagefolder` has it."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from tl_toolkit.catalog import SPLIT_ALIASES, SPLITS, TRAIN
from tl_toolkit.data.csv_file import source_of_rows
from tl_toolkit.data.dataset import ImageSource
from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.folder import load_folder
from tl_toolkit.data.labelled_rows import LabelledRows, read_labelled_rows
from tl_toolkit.data.left_behind import is_left_behind_folder
from tl_toolkit.data.opening import AS_USUAL, Opening
from tl_toolkit.data.table_uri import FILE, TableUri

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_NAME = "file_name"  # the column that Hugging Face asks for


def load_photo_folder(path: str, opening: Opening = AS_USUAL) -> ImageSource:
    """Opens class folders as `load_folder` does, and a folder without them by its `metadata` tables.

    Args:
        path: The folder. Without at least two class folders, a table `metadata.csv`, `metadata.jsonl` or
            `metadata.parquet` in it, or in its folders `train`, `validation` and `test`, gives the photos
            (`file_name`, from the table's folder on) and their labels (`label`, or another name that `csv:` knows).
        opening: How its photos are opened.

    Raises:
        InputError: As `load_folder` and `load_csv`.
    """
    rows = metadata_rows(path, opening.finds_all)
    if rows is None:
        return load_folder(path, opening)
    return source_of_rows(rows, user_path(path), opening)


def metadata_rows(path: str, finds_all: bool = True) -> LabelledRows | None:
    """Returns the rows of a folder's metadata tables, or None for a folder of class folders.

    Args:
        path: The folder.
        finds_all: As for `read_labelled_rows`.

    Raises:
        InputError: A table is not as described.
    """
    root = user_path(path)
    try:
        parts = _split_folders(root)
        if any(_holds_classes(folder) for folder in (root, *parts.values())):
            return None
    except OSError:  # `load_folder` says what is wrong with it
        return None
    of_parts = {split: table for split, part in parts.items() if (table := _table(part))}
    if TRAIN in of_parts:
        return _joined({split: _read(of_parts[split], finds_all) for split in of_parts})
    table = _table(root)
    return _split_by_folders(_read(table, finds_all), root) if table else None


def _split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    found = {
        SPLIT_ALIASES[child.name.lower()]: child
        for child in sorted(root.iterdir())
        if child.name.lower() in SPLIT_ALIASES and child.is_dir()
    }
    return {split: found[split] for split in SPLITS if split in found}


def _holds_classes(folder: pathlib.Path) -> bool:
    classes = [
        child
        for child in folder.iterdir()
        if child.name.lower() not in SPLIT_ALIASES
        and not is_left_behind_folder(child.name)
        and child.is_dir()
    ]
    return len(classes) > 1


def _table(folder: pathlib.Path) -> pathlib.Path | None:
    return next((folder / name for name in METADATA if (folder / name).is_file()), None)


def _read(table: pathlib.Path, finds_all: bool) -> LabelledRows:
    rows = read_labelled_rows(TableUri(table, {FILE: FILE_NAME}), finds_all)
    return dataclasses.replace(rows, notes=(f"labels are those of {table.name}", *rows.notes))


def _split_by_folders(rows: LabelledRows, root: pathlib.Path) -> LabelledRows:
    """Returns the rows, each in the split that the first folder of its path names, where the table has no splits."""
    if (rows.splits != TRAIN).any():
        return rows
    below = [os.path.relpath(path, root).partition(os.sep)[0].lower() for path in rows.paths]
    splits = np.array([SPLIT_ALIASES.get(name, TRAIN) for name in below], str)
    return dataclasses.replace(rows, splits=splits)


def _joined(parts: dict[str, LabelledRows]) -> LabelledRows:
    """Returns the rows of one table a split."""
    class_names = tuple(sorted({name for rows in parts.values() for name in rows.class_names}))
    number = {name: k for k, name in enumerate(class_names)}
    have_groups = any(rows.groups for rows in parts.values())
    labels = [
        np.array([number[name] for name in rows.class_names], np.int64)[rows.labels]
        for rows in parts.values()
    ]
    return LabelledRows(
        table=parts[TRAIN].table,
        class_names=class_names,
        paths=[path for rows in parts.values() for path in rows.paths],
        labels=np.concatenate(labels),
        splits=np.concatenate([np.full(len(rows.paths), split) for split, rows in parts.items()]),
        weights=np.concatenate([rows.weights for rows in parts.values()]),
        groups=[group for rows in parts.values() for group in rows.groups or [""] * len(rows.paths)]
        if have_groups
        else [],
        notes=tuple(dict.fromkeys(note for rows in parts.values() for note in rows.notes)),
    )
