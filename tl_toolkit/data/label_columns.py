"""Several labels a photo out of a table's columns: one of 0 and 1 a label, or one that lists a photo's labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tl_toolkit.errors import InputError, unknown_name

YES, NO = ("1", "true", "yes"), ("0", "false", "no")
Where = Callable[[int], str]  # from a row's number to words that a message begins with


def labels_of_columns(
    columns: Mapping[str, Sequence[str]], names: Sequence[str], where: Where
) -> np.ndarray:
    """Returns uint8[rows, labels], the columns in the order of `names`.

    Args:
        columns: Cells of all rows, by the column's name.
        names: Of the columns that are labels.
        where: Says where a row is.

    Raises:
        InputError: A column is missing or named twice, or a cell is neither 0 nor 1 (true, false, yes, no).
    """
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise InputError(f"The label {twice[0]!r} is named twice: give it once.")
    found = []
    for name in names:
        if name not in columns:
            raise unknown_name("column", name, columns)
        cells = [cell.strip().lower() for cell in columns[name]]
        for row, cell in enumerate(cells):
            if cell not in YES and cell not in NO:
                raise InputError(
                    f"{where(row)} has {columns[name][row]!r} in the column {name!r}. Expected 1 where the photo has the label "
                    "and 0 where it has not."
                )
        found.append([cell in YES for cell in cells])
    return np.array(found, np.uint8).T.reshape(-1, len(names))


def labels_of_lists(
    cells: Sequence[str], separator: str, where: Where
) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the labels in alphabetical order, and uint8[rows, labels].

    Args:
        cells: A photo's labels each, with the separator between them, or as a JSON list; empty: it has none.
        separator: Such as `"|"`.
        where: Says where a row is.

    Raises:
        InputError: A cell names a label twice, or begins as a JSON list and is none.
    """
    rows = [_listed(cell, separator, where, row) for row, cell in enumerate(cells)]
    names = tuple(sorted({name for of_row in rows for name in of_row}))
    place = {name: number for number, name in enumerate(names)}
    labels = np.zeros((len(rows), len(names)), np.uint8)
    for row, of_row in enumerate(rows):
        if len(set(of_row)) < len(of_row):
            raise InputError(f"{where(row)} names a label twice: {cells[row]!r}.")
        labels[row, [place[name] for name in of_row]] = 1
    return names, labels


def _listed(cell: str, separator: str, where: Where, row: int) -> list[str]:
    cell = cell.strip()
    if not cell.startswith("["):
        return [name.strip() for name in cell.split(separator) if name.strip()]
    try:
        names = json.loads(cell)
    except ValueError as error:
        raise InputError(f"{where(row)} has {cell!r}, which is no JSON list: {error}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{where(row)} has {cell!r}. Expected a list of texts.")
    return [name.strip() for name in names if name.strip()]
