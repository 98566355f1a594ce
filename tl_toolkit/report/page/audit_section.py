"""What an audit of the data found, as a page shows it."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tl_toolkit.errors import InputError
from tl_toolkit.report.page.run_files import read_json

AUDIT = "audit.json"
MOST_LISTED = 200
FILE = ("file", "files", "image", "images", "path", "photo")
FINDING = ("finding", "kind", "issue", "problem")
FIGURE = ("figure", "value", "score", "message", "detail")


@dataclasses.dataclass(frozen=True)
class AuditSection:
    """Findings about the data.

    Attributes:
        counts: How many of each kind, the most frequent first.
        rows: (file, finding, figure) of them, as far as they are listed.
        left_out: How many are not listed.
    """

    counts: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, str, str], ...]
    left_out: int


def read_audit(path: pathlib.Path) -> AuditSection:
    """Reads an `audit.json`: findings as objects or triples of file, finding and figure, or lists of them by finding.

    Raises:
        InputError: It cannot be read, or there are no findings in it, not even an empty list of them.
    """
    values = read_json(path)
    found = values.get("findings") if isinstance(values, dict) else values
    if not isinstance(found, list | dict):
        raise InputError(
            f"{str(path)!r} has no 'findings'. Expected what `tl-toolkit audit` writes: a list of file, finding and figure."
        )
    rows = list(_rows(found))
    counts: Mapping[str, int] = collections.Counter(finding for _, finding, _ in rows)
    stated = values.get("counts") if isinstance(values, dict) else None
    if isinstance(stated, dict) and all(isinstance(count, int) for count in stated.values()):
        counts = {str(name): count for name, count in stated.items() if count}
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    left_out = max(sum(counts.values()), len(rows)) - min(len(rows), MOST_LISTED)
    return AuditSection(tuple(ordered), tuple(rows[:MOST_LISTED]), left_out)


def _rows(found: Any, finding: str = "") -> Iterator[tuple[str, str, str]]:
    """Yields (file, finding, figure) of whatever names files."""
    if isinstance(found, list):
        for item in found:
            yield from _row(item, finding)
        return
    for name, items in found.items():
        if isinstance(items, list | dict):
            yield from _rows(items if isinstance(items, list) else [items], str(name))


def _row(item: Any, finding: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(item, dict):
        file, kind, figure = (_first(item, names) for names in (FILE, FINDING, FIGURE))
        yield _text(file), _text(kind) or finding, _text(figure)
    elif isinstance(item, list) and not finding:
        file, kind, figure = (*item, "", "", "")[:3]
        yield _text(file), _text(kind), _text(figure)
    else:
        yield _text(item), finding, ""


def _first(item: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((item[name] for name in names if name in item), "")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " · ".join(map(_text, value))
    return "" if value is None else str(value)
