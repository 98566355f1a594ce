"""Lines and points over two axes: curves of a training, of thresholds, of a search."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup

from tl_toolkit.report.page.svg import (
    SHAPES,
    Scale,
    drawing,
    element,
    limits,
    marker,
    path_of,
    thinned,
)

WIDTH, HEIGHT = 400.0, 260.0
RIGHT, TOP, BOTTOM = 12.0, 12.0, 40.0
LINE_OF_LEGEND, LETTER = 17.0, 6.6
BESIDE = 26.0  # labels of points nearer to each other than that would lie on one another
MOST_MARKERS = 24  # of a line: more would hide it

Kind = Literal["line", "step", "points", "reference"]


@dataclasses.dataclass(frozen=True)
class Series:
    """One line, or one set of points.

    Attributes:
        name: In the legend; empty: not named there.
        x: Values along the lower axis.
        y: Values along the left axis, as many.
        kind: How it is drawn; `"reference"` is a thin dashed line to compare with.
        labels: What is written beside each point; empty: nothing.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Kind = "line"
    labels: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: What it measures.
        bounds: Ends; None: those of the values.
        is_percent: Whether values are shares.
        is_log: Whether it is logarithmic.
        is_whole: Whether only whole numbers make sense.
        ticks: The values that are named; empty: round ones.
    """

    label: str
    bounds: tuple[float, float] | None = None
    is_percent: bool = False
    is_log: bool = False
    is_whole: bool = False
    ticks: Sequence[float] = ()


def xy_chart(
    label: str, x_axis: Axis, y_axis: Axis, series: Sequence[Series], moves: str = ""
) -> Markup:
    """Draws series over two axes, with a legend above them.

    Args:
        label: What it shows, in words.
        x_axis: The lower one.
        y_axis: The left one.
        series: What is drawn, the first below the others.
        moves: Name of a point that the page's script moves; empty: there is none. The script finds the frame in the
            picture's attributes.
    """
    values = [v for s in series for v in s.y]
    longest = max(len(text) for _, text in _scale(y_axis, values, 1.0, 0.0).ticks())
    left = 28 + LETTER * longest
    legend, top = _legend(series, left)
    x = _scale(x_axis, [v for s in series for v in s.x], left, WIDTH - RIGHT)
    y = _scale(y_axis, values, top + HEIGHT - TOP - BOTTOM, top)
    height = top + HEIGHT - TOP
    parts = [*_grid(x, y, x_axis, y_axis, top, height), *legend]
    for number, one in enumerate(series):
        parts += _drawn(one, number, x, y)
    if moves:
        frame = {"data_x": f"{x.start} {x.end}", "data_y": f"{y.start} {y.end}"}
        parts.append(marker(0, x.start, y.start, 6.0, _class="moving", data_moves=moves, **frame))
    return drawing(WIDTH, height, label, parts, "xy")


def _scale(axis: Axis, values: Sequence[float], start: float, end: float) -> Scale:
    low, high = axis.bounds or limits(values, is_log=axis.is_log)
    return Scale(low, high, start, end, axis.is_log, axis.is_percent, axis.is_whole)


def _grid(
    x: Scale, y: Scale, x_axis: Axis, y_axis: Axis, top: float, height: float
) -> list[Markup]:
    parts, bottom = [], y.start
    for value, text in y.ticks():
        place = y(value)
        parts.append(element("line", _class="grid", x1=x.start, x2=x.end, y1=place, y2=place))
        parts.append(element("text", text, x=x.start - 6, y=place + 4, text_anchor="end"))
    for value, text in [(value, f"{value:g}") for value in x_axis.ticks] or x.ticks():
        place = x(value)
        parts.append(element("line", _class="grid", x1=place, x2=place, y1=top, y2=bottom))
        parts.append(element("text", text, x=place, y=bottom + 16, text_anchor="middle"))
    middle = (x.start + x.end) / 2
    parts.append(
        element("text", x_axis.label, _class="axis", x=middle, y=height - 4, text_anchor="middle")
    )
    turned = f"rotate(-90 11 {(top + bottom) / 2:.1f})"
    parts.append(
        element(
            "text",
            y_axis.label,
            _class="axis",
            x=11.0,
            y=(top + bottom) / 2,
            text_anchor="middle",
            transform=turned,
        )
    )
    return parts


def _legend(series: Sequence[Series], start: float) -> tuple[list[Markup], float]:
    """Returns the names of the series, in lines, and where the frame begins below them."""
    parts: list[Markup] = []
    left, line = start, 0
    for number, one in enumerate(series):
        if not one.name:
            continue
        needed = 30 + LETTER * len(one.name) + 14
        if left > start and left + needed > WIDTH:
            left, line = start, line + 1
        y = 8 + LINE_OF_LEGEND * line
        sample = _line_class(one, number)
        if one.kind != "points":
            parts.append(element("line", _class=sample, x1=left, x2=left + 22, y1=y, y2=y))
        if one.kind in ("line", "points"):
            parts.append(marker(number, left + 11, y, _class=f"dot s{number % SHAPES}"))
        parts.append(element("text", one.name, _class="name", x=left + 28, y=y + 4))
        left += needed
    return parts, TOP if not parts else 12 + LINE_OF_LEGEND * (line + 1)


def _drawn(one: Series, number: int, x: Scale, y: Scale) -> list[Markup]:
    pairs = zip(one.x, one.y, strict=True)
    values = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    if not values:
        return []
    places = [(x(a), y(b)) for a, b in values]
    parts = []
    if one.kind != "points":
        kept = [places[n] for n in thinned(len(places))]
        line = path_of(kept, is_step=one.kind == "step")
        parts.append(element("path", _class=_line_class(one, number), d=line))
    if one.kind == "points" or (one.kind == "line" and len(places) <= MOST_MARKERS):
        parts += [marker(number, a, b, _class=f"dot s{number % SHAPES}") for a, b in places]
    labelled: list[tuple[float, float]] = []
    for (a, b), text in zip(places, one.labels, strict=False):
        if any(abs(a - c) < BESIDE and abs(b - d) < BESIDE / 2 for c, d in labelled):
            continue
        labelled.append((a, b))
        parts.append(element("text", text, _class="value", x=a, y=b - 8, text_anchor="middle"))
    return parts


def _line_class(one: Series, number: int) -> str:
    return "line reference" if one.kind == "reference" else f"line s{number % SHAPES}"
