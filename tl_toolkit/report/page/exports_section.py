"""What a run's page says of the network in other formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tl_toolkit.report.page.shell import percent

REFERENCE = "savedmodel"


@dataclasses.dataclass(frozen=True)
class ExportsSection:
    """The formats that a run was exported to.

    Attributes:
        line: All of them, in a sentence.
        columns: Of the table.
        rows: A format each.
    """

    line: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def exports_section(formats: Mapping[str, Mapping[str, Any]]) -> ExportsSection | None:
    """Returns what `exports.json` has of each format, by name; None where nothing but the SavedModel was measured."""
    names = [name for name in formats if name != REFERENCE]
    if not names:
        return None
    changed = max(formats[name]["changed_answers"] for name in names)
    line = (
        f"Exported to {', '.join(names)}; compared with the SavedModel on {formats[names[0]]['compared_on']}, "
        f"{'no answer changes' if not changed else f'at most {changed} answers change'}."
    )
    columns = ("format", "largest difference", "answers changed", "accuracy", "MB", "file")
    rows = tuple(
        (
            name,
            "–" if name == REFERENCE else f"{row['largest_difference']:.1e}",
            "–" if name == REFERENCE else str(row["changed_answers"]),
            percent(row["top1"]),
            f"{row['megabytes']:.2f}",
            ", ".join(row["files"]),
        )
        for name, row in formats.items()
    )
    return ExportsSection(line, columns, rows)
