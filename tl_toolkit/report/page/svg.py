"""SVG as text: elements, scales and ticks, from which the charts are drawn."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

SHAPES = 6  # of points, as many as there are colours
MOST_POINTS = 240  # of a line: more cannot be told apart


def element(name: str, *inner: str | Markup, **attributes: object) -> Markup:
    """Returns an element; `_` in names of attributes stands for `-`, and what is None is left out."""
    text = "".join(
        f' {key.strip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{text}>{''.join(map(escape, inner))}</{name}>")


def drawing(width: float, height: float, label: str, parts: Iterable[Markup], kind: str) -> Markup:
    """Returns a whole picture, with what it shows in words for those who do not see it."""
    return element(
        "svg",
        *parts,
        _class=f"chart {kind}",
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        role="img",
        aria_label=label,
    )


@dataclasses.dataclass(frozen=True)
class Scale:
    """From values to places in a picture.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Place of `low`.
        end: Place of `high`.
        is_log: Whether equal ratios, and not equal differences, are equally far apart.
        is_percent: Whether values are shares, written as percentages.
        is_whole: Whether only whole numbers make sense.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False
    is_percent: bool = False
    is_whole: bool = False

    def __call__(self, value: float) -> float:
        """Returns the place of a value; of one outside, the nearer end."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Returns round values and how they are written."""
        values = [v for v in self._candidates(most) if self._has(v)]
        step = float(min(np.diff(values), default=0.0))
        return [(value, self.text(value, step)) for value in values]

    def text(self, value: float, step: float = 0.0) -> str:
        """Returns a value with as many decimals as a step of the ticks needs."""
        if self.is_percent:
            places = next((n for n in range(3) if _is_whole(100 * step * 10**n)), 3)
            return f"{100 * value:.{places}f}%"
        if self.is_log and not 9e-4 < value < 1e5:
            return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
        return f"{value:.6g}"

    def _candidates(self, most: int) -> list[float]:
        if not self.is_log:
            return list(MaxNLocator(most, integer=self.is_whole).tick_values(self.low, self.high))
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            values = [step * 10.0**decade for decade in decades for step in steps]
            if sum(map(self._has, values)) <= most + 1:
                return values
        return [10.0**decade for decade in decades[:: -(-len(decades) // most)]]

    def _has(self, value: float) -> bool:
        margin = 1e-9 * (self.high - self.low)
        return self.low - margin <= value <= self.high + margin


def limits(
    values: Iterable[float], margin: float = 0.06, is_log: bool = False
) -> tuple[float, float]:
    """Returns a range that holds all finite values, with some room on both sides."""
    finite = [v for v in values if math.isfinite(v) and (v > 0 or not is_log)]
    if not finite:
        return (0.1, 1.0) if is_log else (0.0, 1.0)
    low, high = min(finite), max(finite)
    is_one = math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-12)  # but for how it was rounded
    if is_log:
        room = 2.0 if is_one else math.exp(margin * (math.log(high) - math.log(low)))
        return max(low / room, math.ulp(0.0)), high * room  # of a tiny low, rounding leaves 0
    room = max(abs(high) * 0.1, 0.05) if is_one else margin * (high - low)
    return low - room, high + room


def path_of(points: Sequence[tuple[float, float]], is_step: bool = False) -> str:
    """Returns a path through places; as a step, each value holds until the next one."""
    words = []
    for number, (x, y) in enumerate(points):
        if is_step and number:
            words.append(f"H{_short(x)}V{_short(y)}")
        else:
            words.append(f"{'L' if number else 'M'}{_short(x)} {_short(y)}")
    return "".join(words)


def thinned(count: int) -> np.ndarray:
    """int64[at most MOST_POINTS], evenly spaced positions among `count`, the first and the last one included."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(np.int64))


def marker(shape: int, x: float, y: float, radius: float = 3.5, **attributes: object) -> Markup:
    """Draws a point; shapes differ, so that series are told apart without colour."""
    r, thin = radius, radius / 2.6
    if shape % SHAPES == 0:
        return element("circle", cx=x, cy=y, r=r, **attributes)
    corners = {
        1: [(-r, -r), (r, -r), (r, r), (-r, r)],
        2: [(0, -1.3 * r), (1.2 * r, r), (-1.2 * r, r)],
        3: [(0, -1.4 * r), (1.4 * r, 0), (0, 1.4 * r), (-1.4 * r, 0)],
        4: [(0, 1.3 * r), (1.2 * r, -r), (-1.2 * r, -r)],
        5: _plus(thin, 1.4 * r),
    }[shape % SHAPES]
    points = " ".join(f"{_short(x + dx)},{_short(y + dy)}" for dx, dy in corners)
    return element("polygon", points=points, **attributes)


def _plus(thin: float, r: float) -> list[tuple[float, float]]:
    """Returns the corners of a plus sign, clockwise from the top."""
    corner = [(-thin, -r), (thin, -r), (thin, -thin)]
    around = []
    for _ in range(4):
        around += corner
        corner = [(-y, x) for x, y in corner]
    return around


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-6


def _short(value: object) -> str:
    """Returns a place with one decimal: files stay small, and the eye sees no difference."""
    if isinstance(value, float | np.floating):
        return f"{value:.1f}".removesuffix(".0")
    return str(value)
