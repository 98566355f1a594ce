"""Patterns of file names: `train-{000..009}.tar`, `{cats,dogs}/*.tar`."""

from __future__ import annotations

import glob
import os
import pathlib
import re
from collections.abc import Iterator

from tl_toolkit.errors import InputError

INNERMOST = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
MOST_FILES = 1_000_000


def files_of_pattern(pattern: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files that a pattern names, each once.

    Args:
        pattern: A path. `{000..009}` and `{a,b}` stand for each of those in order, as in a shell; `*`, `**` and `[0-9]` for the
            files that are there, by name. A file whose name is the whole pattern is that file.

    Raises:
        InputError: A file is not there, or a pattern has none.
    """
    if pattern.is_file():
        return [pattern]
    found: dict[pathlib.Path, None] = {}
    for name in expanded(str(pattern)):
        if glob.has_magic(name):
            there = sorted(glob.glob(name, recursive=True), key=os.fsencode)
            files = [path for path in map(pathlib.Path, there) if path.is_file()]
        else:
            files = [path for path in (pathlib.Path(name),) if path.is_file()]
        if not files:
            of = f", which {str(pattern)!r} stands for" if name != str(pattern) else ""
            raise InputError(f"There is no file {name!r}{of}.")
        found.update(dict.fromkeys(files))
    return list(found)


def expanded(pattern: str) -> list[str]:
    """Returns the texts that a pattern's braces stand for, in order.

    Numbers of a range have as many digits as its ends, if one of these begins with a zero. Braces that hold neither a range nor
    a comma stay as they are.

    Raises:
        InputError: There would be more than `MOST_FILES`.
    """
    texts = [""]
    for part in _parts(pattern):
        if len(texts) * len(part) > MOST_FILES:
            raise InputError(f"{pattern!r} stands for more than {MOST_FILES:,} files.")
        texts = [text + choice for text in texts for choice in part]
    return texts


def _parts(pattern: str) -> Iterator[list[str]]:
    """Yields what each piece of the pattern may be."""
    end = 0
    for braces in INNERMOST.finditer(pattern):
        choices = _choices(braces[1], pattern)
        if choices is not None:
            yield [pattern[end : braces.start()]]
            yield choices
            end = braces.end()
    yield [pattern[end:]]


def _choices(inside: str, pattern: str) -> list[str] | None:
    numbered = RANGE.fullmatch(inside)
    if numbered is None:
        return inside.split(",") if "," in inside else None
    first, last = int(numbered[1]), int(numbered[2])
    if abs(last - first) >= MOST_FILES:
        raise InputError(f"{pattern!r} stands for more than {MOST_FILES:,} files.")
    is_padded = any(len(end) > 1 and end[0] == "0" for end in numbered.groups())
    width = max(map(len, numbered.groups())) if is_padded else 0
    step = 1 if first <= last else -1
    return [f"{number:0{width}d}" for number in range(first, last + step, step)]
