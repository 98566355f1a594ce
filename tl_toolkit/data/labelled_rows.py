"""Photos, labels and what else a table says of them, a column each."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from tl_toolkit.catalog import SPLIT_ALIASES, SPLITS, TRAIN
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.named_photos import photo_paths
from tl_toolkit.data.table import Table, read_table
from tl_toolkit.data.table_columns import columns_by_role, has_columns, usual_names_note
from tl_toolkit.data.table_uri import (
    DELIMITER,
    ENCODING,
    FILE,
    GROUP,
    LABEL,
    ROLES,
    SHEET,
    SPLIT,
    SUFFIX,
    WEIGHT,
    TableUri,
)
from tl_toolkit.errors import InputError


@dataclasses.dataclass(frozen=True)
class LabelledRows:
    """A table's rows, none of whose photos has been read.

    Attributes:
        table: The file.
        class_names: In alphabetical order, or, where columns of several labels are named, in that order.
        paths: Of each photo.
        labels: int64[n], numbers of classes; or uint8[n, labels], of photos with several.
        splits: str[n], of `SPLITS`.
        weights: float32[n], over 0.
        groups: Of each row, such as a patient; "" for none. Empty where the table has no such column.
        notes: What was assumed.
    """

    table: pathlib.Path
    class_names: tuple[str, ...]
    paths: list[str]
    labels: np.ndarray
    splits: np.ndarray
    weights: np.ndarray
    groups: list[str]
    notes: tuple[str, ...]


def open_table(uri: TableUri, needed: Sequence[str] = (FILE, LABEL)) -> Table:
    """Reads the table that a URI names.

    Args:
        uri: The table and its options.
        needed: Roles whose columns the delimiter must show, beside those that the options name.

    Raises:
        InputError: It cannot be read.
    """
    given = {role: uri.options[role] for role in ROLES if role in uri.options}
    return read_table(
        uri.path,
        delimiter=uri.options.get(DELIMITER),
        encoding=uri.options.get(ENCODING),
        sheet=uri.options.get(SHEET),
        fits=lambda names: has_columns(names, given, needed),
    )


def read_labelled_rows(uri: TableUri, finds_all: bool = True) -> LabelledRows:
    """Reads a table of photos and labels.

    Args:
        uri: The table and its options.
        finds_all: Whether a name without an ending that no file has is an error.

    Raises:
        InputError: The table is not as `load_csv` describes.
    """
    table = open_table(uri)
    try:
        chosen = columns_by_role(list(table.columns), uri.options)
    except InputError as error:
        raise InputError(
            f"{str(uri.path)!r} cannot be read as photos and labels. {error}"
        ) from error
    names, labels = table.columns[chosen[FILE]], table.columns[chosen[LABEL]]
    for row, (name, label) in enumerate(zip(names, labels, strict=True)):
        if not name or "\0" in name or not label:
            raise InputError(f"{table.where(row)} must have a file and a label.")
    class_names = tuple(sorted(set(labels)))
    number = {name: k for k, name in enumerate(class_names)}
    paths, found_endings = photo_paths(names, uri.root, uri.options.get(SUFFIX), finds_all)
    notes = [*table.notes, printable(usual_names_note(chosen, uri.options)), found_endings]
    return LabelledRows(
        table=uri.path,
        class_names=class_names,
        paths=paths,
        labels=np.array([number[label] for label in labels], np.int64),
        splits=splits_of(table, chosen),
        weights=weights_of(table, chosen),
        groups=table.columns[chosen[GROUP]] if GROUP in chosen else [],
        notes=tuple(filter(None, notes)),
    )


def splits_of(table: Table, chosen: dict[str, str]) -> np.ndarray:
    """Returns str[n], of `SPLITS`; `chosen` has the columns by role."""
    cells = table.columns[chosen[SPLIT]] if SPLIT in chosen else [""] * len(table)
    meaning: dict[str, str] = {"": TRAIN}
    for row, cell in enumerate(cells):
        if cell not in meaning:
            if cell.lower() not in SPLIT_ALIASES:
                raise InputError(
                    f"{table.where(row)} has the split {cell.lower()!r}. Expected: {', '.join(SPLITS)}."
                )
            meaning[cell] = SPLIT_ALIASES[cell.lower()]
    return np.array([meaning[cell] for cell in cells], str)


def weights_of(table: Table, chosen: dict[str, str]) -> np.ndarray:
    """Returns float32[n], over 0; `chosen` has the columns by role."""
    if WEIGHT not in chosen:
        return np.ones(len(table), np.float32)
    weights = np.empty(len(table), np.float32)
    for row, cell in enumerate(table.columns[chosen[WEIGHT]]):
        try:
            weight = float(cell or 1)
        except ValueError:
            weight = 0.0
        if not 0 < weight < float("inf"):
            raise InputError(
                f"{table.where(row)} has the weight {cell!r}. Expected: a number over 0."
            )
        weights[row] = weight
    return weights
