"""A table as text: its encoding and what parts its columns, found in the file itself.

The delimiter is the one with which the first line has the columns that are asked for, so that no text in the rows
can mislead, and nothing is left to a sniffer's statistics: of 200 random tables `csv.Sniffer` was wrong on 17 and failed on
34. clevercsv was right on all of them, but knows nothing of the columns, and would be one more compiled package. Nor is
an encoding detected by frequencies: the few words of other than ASCII letters in a table of labels are too little for it
(charset-normalizer takes `café` in Windows-1252 for cp1250). What is no Unicode is read as Windows-1252, and a note
shows how that looks.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from tl_toolkit.errors import InputError

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
QUOTES = ('"', "'")
# The longer ones first: UTF-32's begins as UTF-16's does.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SHOWN_NAMES = {"utf-8": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32", "cp1252": "Windows-1252"}
COMPARED_ROWS = 1000
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # Excel's own

Fits = Callable[[Sequence[str]], bool]


def decoded(contents: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Returns the text, and a note on what was assumed, "" for plain UTF-8.

    Args:
        contents: Of the file.
        encoding: As Python names it; None: a byte order mark says it, else UTF-8 if it is that, else UTF-16
            without a mark if it begins so, else Windows-1252.

    Raises:
        InputError: The contents are not of that encoding, or are UTF-8 in some places only.
    """
    if encoding is not None:
        try:
            return contents.decode(encoding).removeprefix("\ufeff"), ""
        except LookupError as error:
            raise InputError(
                f"There is no text encoding {encoding!r}. Expected: utf-8, utf-16, cp1252 or another of Python's."
            ) from error
        except UnicodeError as error:
            raise InputError(f"it is not {encoding}: {error}") from error
    found = next((e for mark, e in BYTE_ORDER_MARKS.items() if contents.startswith(mark)), None)
    # The first character of a table's first line is of ASCII, whatever its rows hold.
    if found is None and len(contents) > 1 and (contents[0] == 0) != (contents[1] == 0):
        found = "utf-16-be" if contents[0] == 0 else "utf-16-le"
    try:
        text = contents.decode(found or "utf-8").removeprefix("\ufeff")
        return text, f"in {SHOWN_NAMES[found[:6]]}" if found not in (None, "utf-8") else ""
    except UnicodeError as error:
        if found is not None:
            raise InputError(f"it begins as {found} but is not: {error}") from error
    return _of_one_byte(contents)


def _of_one_byte(contents: bytes) -> tuple[str, str]:
    in_utf8 = contents.decode("utf-8", "replace")
    replaced = in_utf8.count("\ufffd")
    if sum(len(found) for found in re.findall(r"[^\x00-\x7f\ufffd]+", in_utf8)) > replaced:
        place = in_utf8.index("\ufffd")
        raise InputError(
            f"line {in_utf8.count(chr(10), 0, place) + 1} is not UTF-8, which the rest seems to be: "
            "repair it, or give encoding=… in the URI, such as encoding=cp1252"
        )
    try:
        text = contents.decode("cp1252")
    except UnicodeDecodeError as error:
        raise InputError(
            "it is neither UTF-8 nor Windows-1252: give encoding=… in the URI, such as encoding=cp1251, "
            "encoding=shift_jis or encoding=gb18030, or save it as UTF-8"
        ) from error
    sample = re.search(r"\w*[^\x00-\x7f]\w*", text)
    shown = f", for example {sample.group()!r}" if sample else ""
    return text, f"in Windows-1252{shown} (encoding= in the URI chooses another)"


def delimiter_named(text: str) -> str:
    """Returns the character that an option names, as itself or as a word of `DELIMITERS`."""
    delimiter = DELIMITERS.get(text.lower(), text)
    if len(delimiter) != 1 or delimiter in "\r\n\"' ":
        raise InputError(
            f"delimiter={text} should be one character or one of: {', '.join(DELIMITERS)}."
        )
    return delimiter


def rows_of_text(
    text: str, delimiter: str | None = None, fits: Fits | None = None
) -> tuple[Iterator[tuple[int, list[str]]], str]:
    """Returns (number of the line that it ends in, cells) of each row that is not empty, and a note on the delimiter.

    Args:
        text: Of the table.
        delimiter: One character; None: found.
        fits: Whether a first row has the columns that are asked for; None: any delimiter is as good with which the
            rows have as many cells as the first one.

    Raises:
        InputError: Several delimiters fit.
    """
    separator = SEPARATOR_LINE.match(text)
    before = 0
    if separator is not None:
        text, before = text[separator.end() :], 1
        delimiter = delimiter or separator[1]
    found, quote = _found(text, [delimiter] if delimiter else list(DELIMITERS.values()), fits)
    assumed = []
    if delimiter is None and found != ",":
        assumed.append(f"parted by {_name(found)}s")
    if quote != QUOTES[0]:
        assumed.append(f"quoted by {quote}")
    rows = _rows(text, found, quote)
    return ((before + number, row) for number, row in rows), " and ".join(assumed)


def _name(delimiter: str) -> str:
    return next(name for name, character in DELIMITERS.items() if character == delimiter)


def _rows(text: str, delimiter: str, quote: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    return ((reader.line_num, row) for row in reader if row)


def _found(text: str, delimiters: Sequence[str], fits: Fits | None) -> tuple[str, str]:
    """Returns delimiter and quote."""
    for quote in QUOTES:
        fitting = [d for d in delimiters if fits is not None and fits(_first(text, d, quote))]
        if "," in fitting:
            return ",", quote
        if len(fitting) > 1:
            names = " or ".join(map(_name, fitting))
            raise InputError(
                f"its first line has the columns whether it is parted by {names}: "
                "give delimiter=… in the URI"
            )
        if fitting:
            return fitting[0], quote
    return max(delimiters, key=lambda delimiter: _regularity(text, delimiter)), QUOTES[0]


def _first(text: str, delimiter: str, quote: str) -> list[str]:
    return next((row for _, row in _rows(text, delimiter, quote)), [])


def _regularity(text: str, delimiter: str) -> tuple[float, int]:
    """Returns which share of the first rows have as many cells as the first one, and how many; 0 for one."""
    some = itertools.islice(_rows(text, delimiter, QUOTES[0]), COMPARED_ROWS)
    counts = [len(row) for _, row in some]
    if not counts or counts[0] < 2:
        return 0.0, 0
    return sum(count == counts[0] for count in counts) / len(counts), counts[0]
