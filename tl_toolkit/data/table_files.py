"""Tables in files that are not text: Excel and Parquet; and JSON lines."""

from __future__ import annotations

import datetime
import io
import json
import re
import warnings
import xml.etree.ElementTree
import zipfile
from collections.abc import Iterator
from typing import Any

from tl_toolkit.errors import InputError

EXTRA = "Install it: pip install 'tl-toolkit[tables]'"
ZEROS = re.compile(r"0+")  # a number format that shows 7 as 007
EXCEL_ERROR = "e"  # of a cell's type, such as #N/A


def is_excel(contents: bytes) -> bool:
    """Whether a file is an Excel workbook (.xlsx, .xlsm)."""
    return contents.startswith(b"PK\3\4")


def is_parquet(contents: bytes) -> bool:
    """Whether a file is of Parquet."""
    return contents.startswith(b"PAR1")


def sheet_rows(
    contents: bytes, sheet: str | None = None
) -> tuple[Iterator[tuple[int, list[str]]], str]:
    """Returns (number, cells) of each row of a sheet that is not empty, and a note where there are other sheets.

    Args:
        contents: Of an Excel workbook. Of formulas the results count that were last computed.
        sheet: Its name; None: the first one.

    Raises:
        InputError: It is no workbook, lacks the sheet, or openpyxl is not installed.
    """
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise InputError(f"Excel files need the package openpyxl. {EXTRA}") from error
    damaged = (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile)
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # of what is not read, such as drop-down lists
            book = openpyxl.load_workbook(io.BytesIO(contents), read_only=True, data_only=True)
            names = [one.title for one in book.worksheets]
            chosen = names[0] if sheet is None and names else sheet
            if chosen not in names:
                raise InputError(f"it has no sheet {chosen!r}. Found: {', '.join(names)}")
            rows = [[_cell(cell) for cell in row] for row in book[chosen].iter_rows()]
    except (*damaged, xml.etree.ElementTree.ParseError) as error:
        raise InputError(f"it is not an Excel workbook, or is damaged: {error}") from error
    others = f"the sheet {chosen!r} of {len(names)} is read (sheet= in the URI chooses)"
    found = ((number, row) for number, row in enumerate(rows, start=1) if any(row))
    return found, others if sheet is None and len(names) > 1 else ""


def _cell(cell: Any) -> str:
    if cell.data_type == EXCEL_ERROR:
        return ""
    text = cell_text(cell.value)
    shown_as = cell.number_format if text.isdigit() and not isinstance(cell.value, str) else ""
    return text.zfill(len(shown_as)) if ZEROS.fullmatch(shown_as or "") else text


def parquet_rows(contents: bytes) -> tuple[dict[str, list[str]], list[int]]:
    """Returns the columns of a Parquet file as text, and the rows' numbers from 1.

    Raises:
        InputError: It is damaged, or pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise InputError(f"Parquet files need the package pyarrow. {EXTRA}") from error
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(contents))
        names = [name for name in table.column_names if not name.startswith("__index_level_")]
        columns = {
            name: [cell_text(value) for value in table.column(name).to_pylist()] for name in names
        }
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"it is not a Parquet file, or is damaged: {error}") from error
    return columns, list(range(1, table.num_rows + 1))


def json_lines(text: str) -> tuple[dict[str, list[str]], list[int]]:
    """Returns the columns of JSON lines, an object a line, as text, and the lines' numbers from 1.

    Raises:
        InputError: A line is no object.
    """
    objects: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InputError(f"line {number} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f"line {number} is no JSON object of columns")
        objects.append(found)
        lines.append(number)
    names = dict.fromkeys(name for found in objects for name in found)
    return {name: [cell_text(found.get(name)) for found in objects] for name in names}, lines


def cell_text(value: Any) -> str:
    """Returns a cell as text: a whole number without decimals, a list as JSON, nothing (None, NaN) as ""."""
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return str(value.date())  # how spreadsheets keep a day
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)
