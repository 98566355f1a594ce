"""Rows of accuracies with their intervals or ranges, over one axis: strategies, folds, runs, an answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from tl_toolkit.report.page.svg import Scale, drawing, element, limits, marker

WIDTH, ROW, LINE, RIGHT, BOTTOM = 400.0, 40.0, 14.0, 14.0, 38.0
LEFT = 8.0


@dataclasses.dataclass(frozen=True)
class IntervalRow:
    """One row.

    Attributes:
        name: Written above the line; empty: nothing.
        value: The figure, drawn as a filled point.
        low: Lower end of the interval.
        high: Upper end.
        points: Single figures, drawn as rings.
        text: The figures in words, written at the right.
    """

    name: str
    value: float
    low: float
    high: float
    points: Sequence[float] = ()
    text: str = ""


def interval_chart(
    label: str,
    axis_label: str,
    rows: Sequence[IntervalRow],
    references: Sequence[tuple[str, float]] = (),
) -> Markup:
    """Draws each row's interval, and lines to compare with.

    Args:
        label: What it shows, in words.
        axis_label: What the axis measures.
        rows: From above.
        references: Names and values of lines across all rows.
    """
    values = [v for row in rows for v in (row.value, row.low, row.high, *row.points)]
    low, high = limits([*values, *(value for _, value in references)], 0.08)
    x = Scale(max(low, 0.0), min(high, 1.005), LEFT + 8, WIDTH - RIGHT, is_percent=True)
    top = 6.0 + LINE * len(references)
    row_height = ROW if any(row.name or row.text for row in rows) else ROW / 2
    bottom = top + row_height * len(rows)
    parts = []
    for value, text in x.ticks():
        place = x(value)
        parts.append(element("line", _class="grid", x1=place, x2=place, y1=top, y2=bottom))
        parts.append(element("text", text, x=place, y=bottom + 15, text_anchor="middle"))
    middle = (x.start + x.end) / 2
    parts.append(
        element("text", axis_label, _class="axis", x=middle, y=bottom + 32, text_anchor="middle")
    )
    for number, (name, value) in enumerate(references):
        place, y = x(value), 6.0 + LINE * number
        # Beside the line, on the side that has room.
        is_left = place > middle
        parts.append(
            element("line", _class="line reference", x1=place, x2=place, y1=y + 4, y2=bottom)
        )
        anchor, dx = ("end", -5.0) if is_left else ("start", 5.0)
        parts.append(element("text", name, x=place + dx, y=y + 9, text_anchor=anchor))
    for number, row in enumerate(rows):
        y = top + row_height * (number + 1) - 12
        if row.name:
            parts.append(element("text", row.name, _class="name", x=LEFT, y=y - 12))
        if row.text:
            parts.append(
                element("text", row.text, _class="figure", x=WIDTH - 4, y=y - 12, text_anchor="end")
            )
        ends = x(row.low), x(row.high)
        parts.append(element("line", _class="whisker", x1=ends[0], x2=ends[1], y1=y, y2=y))
        parts += [
            element("line", _class="whisker", x1=end, x2=end, y1=y - 4, y2=y + 4) for end in ends
        ]
        parts += [marker(0, x(point), y, 4.0, _class="ring") for point in row.points]
        parts.append(marker(3, x(row.value), y, 4.5, _class="dot s0"))
    return drawing(WIDTH, bottom + BOTTOM, label, parts, "intervals")
