"""A table as people have it, CSV, Excel, Parquet or JSON lines: columns of text by name."""

from __future__ import annotations

import collections
import csv
import dataclasses
import pathlib
from collections.abc import Iterator

from tl_toolkit.data.table_files import is_excel, is_parquet, json_lines, parquet_rows, sheet_rows
from tl_toolkit.data.table_text import Fits, decoded, delimiter_named, rows_of_text
from tl_toolkit.errors import InputError

OLD_EXCEL = bytes.fromhex("d0cf11e0a1b11ae1")


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text, by column.

    Attributes:
        path: Of the file.
        columns: By name, in their order: the cells of all rows, as they are written; "" for none. A number without
            decimals is written without (Excel's and Parquet's 1.0 is "1"), a list as JSON (`["cat", "dog"]`).
            A column without a name is left out.
        lines: Where each row ends in the file, as an editor or a spreadsheet counts.
        notes: What was assumed of the file.
    """

    path: pathlib.Path
    columns: dict[str, list[str]]
    lines: list[int]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """Returns words that say where a row is, to begin a message with."""
        return f"Line {self.lines[row]} of {str(self.path)!r}"


def read_table(
    path: pathlib.Path,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    fits: Fits | None = None,
) -> Table:
    """Reads a table, whose first row names the columns.

    The kind of file is told by its contents (Excel, Parquet), JSON lines by the ending `.jsonl` or `.ndjson`; anything
    else is text with a delimiter.

    Args:
        path: Of the file.
        delimiter: A character, or one of `DELIMITERS`; None: comma, semicolon, tab or pipe, as the file has it.
        encoding: As Python names it; None: see `table_text.decoded`.
        sheet: Of an Excel file; None: the first one.
        fits: Whether a first row has the columns that are asked for: chooses the delimiter. None: the one with
            which most rows have as many cells as the first one.

    Raises:
        InputError: It cannot be read, or rows do not fit the columns.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read the table {str(path)!r}: {error}.") from error
    try:
        if is_excel(contents):
            return _of_rows(path, *sheet_rows(contents, sheet))
        if is_parquet(contents):
            return Table(path, *parquet_rows(contents))
        if contents.startswith(OLD_EXCEL):
            raise InputError("it is an old Excel file (.xls): save it as .xlsx or .csv")
        text, in_encoding = decoded(contents, encoding)
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return Table(path, *json_lines(text))
        parted_by = delimiter_named(delimiter) if delimiter is not None else None
        rows, parted = rows_of_text(text, parted_by, fits)
        assumed = ", ".join(filter(None, [in_encoding, parted]))
        return _of_rows(path, rows, f"{path.name} is read as a table {assumed}" if assumed else "")
    except (InputError, csv.Error) as error:
        reason = str(error).removesuffix(".")
        raise InputError(f"Cannot read the table {str(path)!r}: {reason}.") from error


def _of_rows(path: pathlib.Path, rows: Iterator[tuple[int, list[str]]], note: str) -> Table:
    """Returns the table of rows of which the first names the columns."""
    _, names = next(rows, (0, []))
    named = [(k, name) for k, name in enumerate(names) if name.strip()]
    twice = [name for name, count in collections.Counter(n for _, n in named).items() if count > 1]
    if twice:
        raise InputError(f"its first line names the column {twice[0]!r} twice: rename one")
    cells: list[list[str]] = [[] for _ in named]
    lines: list[int] = []
    for number, row in rows:
        if len(row) > len(names) and any(row[len(names) :]):
            raise InputError(
                f"line {number} has {len(row)} cells, and the first line names {len(names)} columns"
            )
        row += [""] * (len(names) - len(row))
        for column, (k, _) in zip(cells, named, strict=True):
            column.append(row[k])
        lines.append(number)
    columns = {name: column for (_, name), column in zip(named, cells, strict=True)}
    return Table(path, columns, lines, (note,) if note else ())
