"""What an audit of the data found, as a page shows it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from tl_toolkit.errors import InputError
from tl_toolkit.files.manifest import check_file
from tl_toolkit.report.page.photo_choice import in_turn

AUDIT = "audit.json"
MOST_LISTED = 200
FILE = ("file", "files", "image", "images", "path", "photo")
FINDING = ("finding", "kind", "issue", "problem")
REASON = ("reason", "message", "detail")
FIGURE = ("figure", "value", "score")
ACROSS = "across splits"  # groups of photos


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
    check_file(path)
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(path)!r} cannot be read: {error}. Expected what `tl-toolkit audit` writes."
        ) from error
    found = values.get("findings") if isinstance(values, dict) else values
    if not isinstance(found, list | dict):
        raise InputError(
            f"{str(path)!r} has no 'findings'. Expected what `tl-toolkit audit` writes: a list of file, finding and figure."
        )
    rows = list(_rows(found))
    if isinstance(values, dict) and isinstance(values.get(ACROSS), list):
        rows += _rows({ACROSS: values[ACROSS]})
    of_kind: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        of_kind.setdefault(row[1], []).append(row)
    counts = {kind: len(some) for kind, some in of_kind.items()}
    stated = values.get("counts") if isinstance(values, dict) else None
    if isinstance(stated, dict) and all(isinstance(count, int) for count in stated.values()):
        counts |= {str(name): count for name, count in stated.items() if count}
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    # Each kind has its share of what is listed: one of thousands leaves room for the others.
    listed = in_turn([of_kind.get(kind, ()) for kind, _ in ordered])[:MOST_LISTED]
    place = {kind: number for number, (kind, _) in enumerate(ordered)}
    listed.sort(key=lambda row: place[row[1]])
    return AuditSection(tuple(ordered), tuple(listed), sum(counts.values()) - len(listed))


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
        kind = _text(_first(item, FINDING)) or finding
        said = [_text(_first(item, names)) for names in (REASON, FIGURE)]
        yield _text(_first(item, FILE)), kind, ", ".join(t for t in said if t and t != kind)
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
