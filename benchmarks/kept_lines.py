"""Lines of JSON that are on the disk once they were added, whatever ends the process that adds them."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any, BinaryIO


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the lines of a file, which need not exist. One that was cut short is not counted."""
    if not path.exists():
        return []
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(text))
        except json.JSONDecodeError:
            continue  # the process was ended while it wrote
    return found


def add_line(path: pathlib.Path, line: dict[str, Any]) -> None:
    """Appends a line; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() and not _ends_a_line(file):
            file.write(b"\n")
        file.write(json.dumps(line).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def put_aside(path: pathlib.Path) -> None:
    """Renames the file, so that the next measurement begins anew; the one put aside before is replaced."""
    if path.exists():
        path.replace(path.with_suffix(".before.jsonl"))


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
