"""JSON files that state the checksum of what they hold, so that a changed byte is noticed and not believed."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tl_toolkit.files.atomic import write_json

CHECKSUM = "checksum"  # the sha256 of everything else in the file


def write_checked_json(path: pathlib.Path, values: Mapping[str, Any]) -> None:
    """Writes plain values and their checksum, whole."""
    write_json(path, {**values, CHECKSUM: _checksum(values)})


def read_checked_json(path: pathlib.Path) -> dict[str, Any]:
    """Returns what `write_checked_json` wrote; a file without a checksum, of an earlier version, is believed.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read.
        ValueError: It is damaged.
    """
    values = json.loads(path.read_bytes())
    if not isinstance(values, dict):
        raise ValueError("it holds no JSON object")
    stated = values.pop(CHECKSUM, None)
    if stated is not None and stated != _checksum(values):
        raise ValueError("its contents are not those that its checksum was made of")
    return values


def _checksum(values: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(values))  # keys are text, tuples are lists
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()
