"""Points of accuracy against wall seconds: kept, compared, and drawn. It needs nothing but Python."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Sequence
from xml.sax.saxutils import escape

NORMAL_95 = 1.959964
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 60, 250, 30, 50
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2", "1 4", "14 3 4 3", "5 5")
STYLE = (
    "<style>text{font:12px sans-serif;fill:#222}.line{fill:none;stroke:#222}.mark{fill:#fff;stroke:#222}"
    ".ours .line{stroke-width:2.5}.ours .mark{fill:#222}"
    "@media (prefers-color-scheme:dark){text{fill:#ddd}.line,.mark{stroke:#ddd}.mark{fill:#111}"
    ".ours .mark{fill:#ddd}}</style>"
)


@dataclasses.dataclass(frozen=True)
class Point:
    """What a user of a contender would have if it ended here.

    Attributes:
        data: The data set.
        contender: Whose it is.
        seed: Of split and training.
        step: Such as "epoch 3" or "all blocks".
        seconds: By the clock from the process' start until a usable model was saved.
        cpu_seconds: Of all threads and children until then.
        validation: Accuracy on validation images, which alone select.
        correct: Test images that were answered right.
        tested: Test images.
        is_ours: Whether the contender is this toolkit.
    """

    data: str
    contender: str
    seed: int
    step: str
    seconds: float
    cpu_seconds: float
    validation: float
    correct: int
    tested: int
    is_ours: bool

    @property
    def accuracy(self) -> float:
        """On the test images."""
        return self.correct / self.tested

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the accuracy."""
        n, p, z = self.tested, self.accuracy, NORMAL_95
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return middle - half, middle + half


def read(path: pathlib.Path) -> list[Point]:
    """Returns the points of a file; a line that was cut short is not counted."""
    points = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            points.append(Point(**json.loads(line)))
        except json.JSONDecodeError:
            continue
    return points


def add(path: pathlib.Path, points: Sequence[Point]) -> None:
    """Appends the points of a finished contender; they are on the disk when this returns."""
    old = path.read_bytes()[-1:] if path.exists() else b""
    lines = "".join(json.dumps(dataclasses.asdict(point)) + "\n" for point in points)
    with path.open("ab") as file:
        file.write((b"" if old in (b"", b"\n") else b"\n") + lines.encode())
        file.flush()
        os.fsync(file.fileno())


def is_finished(points: Sequence[Point], data: str, contender: str, seed: int) -> bool:
    """Whether a contender has points of this data set and seed."""
    return any((p.data, p.contender, p.seed) == (data, contender, seed) for p in points)


def best_by(points: Sequence[Point], seconds: float) -> Point | None:
    """What selection by validation images would have kept of what was finished by then; of equal ones the first."""
    finished = sorted((p for p in points if p.seconds <= seconds), key=lambda p: p.seconds)
    return max(finished, key=lambda p: p.validation, default=None)


def findings(points: Sequence[Point]) -> list[str]:
    """Names the peers' points that lie above our curve.

    A peer's point counts with the model that its validation images select of its points so far, as ours does. Where
    nothing of ours is finished by then, any point lies above.
    """
    lines = []
    for data, seed in sorted({(p.data, p.seed) for p in points}):
        of_this = [p for p in points if (p.data, p.seed) == (data, seed)]
        ours = [p for p in of_this if p.is_ours]
        for peer in sorted((p for p in of_this if not p.is_ours), key=lambda p: p.seconds):
            own = [p for p in of_this if p.contender == peer.contender]
            kept, mine = best_by(own, peer.seconds), best_by(ours, peer.seconds)
            assert kept is not None
            start = f"{data}, seed {seed}, {peer.seconds:.0f} s: {peer.contender} ({kept.step}) has {kept.accuracy:.3f}"
            if mine is None:
                lines.append(f"{start}, and nothing of ours is finished")
            elif kept.accuracy > mine.accuracy:
                apart = kept.interval[0] > mine.interval[1]
                lines.append(
                    f"{start}, ours ({mine.contender}, {mine.step}) {mine.accuracy:.3f}; the intervals "
                    f"{'are apart' if apart else 'overlap'}"
                )
    return lines


def table(points: Sequence[Point]) -> str:
    """Every point as a row of Markdown, by data set, contender and time."""
    lines = [
        "| data | contender | seed | after | wall, s | CPU, s | validation | test accuracy | 95% interval |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for p in sorted(points, key=lambda p: (p.data, not p.is_ours, p.contender, p.seed, p.seconds)):
        low, high = p.interval
        lines.append(
            f"| {p.data} | {p.contender} | {p.seed} | {p.step} | {p.seconds:.1f} | {p.cpu_seconds:.1f} "
            f"| {p.validation:.3f} | {p.accuracy:.3f} | {low:.3f}–{high:.3f} |"
        )
    return "\n".join(lines)


def plot(points: Sequence[Point], title: str) -> str:
    """Draws the points of one data set and seed as SVG: seconds on a logarithmic axis, a dash pattern a contender."""
    first, last = (bound(p.seconds for p in points) for bound in (min, max))
    lowest = max(0.0, min(p.accuracy for p in points) - 0.02)

    def x(seconds: float) -> float:
        share = math.log(seconds / first) / (math.log(last / first) or 1.0)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(accuracy: float) -> float:
        return TOP + (1 - accuracy) / (1 - lowest or 1.0) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{STYLE}',
        f'<title>{escape(title)}</title><text x="{LEFT}" y="18">{escape(title)}</text>',
        f'<path class="line" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        f'<text x="{LEFT}" y="{HEIGHT - 12}">wall seconds from start to a saved model</text>',
    ]
    for number in range(5):
        accuracy = lowest + (1 - lowest) * number / 4
        parts.append(f'<text x="8" y="{y(accuracy) + 4:.1f}">{accuracy:.3f}</text>')
        seconds = first * (last / first) ** (number / 4)
        at = f'x="{x(seconds):.1f}" y="{HEIGHT - BOTTOM + 18}"'
        parts.append(f'<text {at} text-anchor="middle">{seconds:.0f}</text>')
    names = sorted(
        {p.contender: not p.is_ours for p in points}.items(), key=lambda item: item[::-1]
    )
    for number, (name, is_peer) in enumerate(names):
        own = sorted((p for p in points if p.contender == name), key=lambda p: p.seconds)
        route = "L".join(f"{x(p.seconds):.1f} {y(p.accuracy):.1f}" for p in own)
        dash, row = DASHES[number % len(DASHES)], TOP + 10 + 20 * number
        key = f"M{WIDTH - RIGHT + 15} {row}h40"
        parts.append(f'<g class="{"peer" if is_peer else "ours"}">')
        parts += [
            f'<path class="line" stroke-dasharray="{dash}" d="{d}"/>' for d in (f"M{route}", key)
        ]
        parts += [
            f'<circle class="mark" cx="{x(p.seconds):.1f}" cy="{y(p.accuracy):.1f}" r="3.5"/>'
            for p in own
        ]
        parts.append(f'<text x="{WIDTH - RIGHT + 62}" y="{row + 4}">{escape(name)}</text></g>')
    return "\n".join([*parts, "</svg>"]) + "\n"
