"""Files that are whole or absent: written aside, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def written_aside(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a path next to `path` to write to, which is renamed to `path` if the block succeeds.

    If the block raises, what it wrote is removed and `path` is as it was.
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a UTF-8 text file whole; bytes of a file name that are not UTF-8 are written as `\\udcXX`."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: pathlib.Path, values: Any) -> None:
    """Writes plain values as an indented JSON file, whole."""
    write_text(path, json.dumps(values, indent=2) + "\n")
