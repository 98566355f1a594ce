"""Points of accuracy against wall seconds: kept, pooled over splits, and judged by one rule."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from kept_lines import add_line, read_lines

from tl_toolkit.report.metrics import wilson_interval
from tl_toolkit.report.paired_test import PairedTest, mcnemar_test


@dataclasses.dataclass(frozen=True)
class Point:
    """What a contender's user has if it ends here.

    Attributes:
        data: The data set.
        contender: Whose it is.
        process: What measures it, with other points or alone.
        setting: Such as "5 epochs".
        seeds: Of split and training: one; of pooled points all.
        seconds: By the clock from the process' start until the trained model is in memory.
        cpu_seconds: Of all its threads and ended children until then.
        validation: Accuracy on the validation images.
        validation_loss: Log loss there.
        log_loss: On the test images.
        right: "1" or "0" of each test image: whether it was answered right.
        is_ours: Whether the contender is this toolkit.
        is_last: Whether the contender's process has no later one.
    """

    data: str
    contender: str
    process: str
    setting: str
    seeds: tuple[int, ...]
    seconds: float
    cpu_seconds: float
    validation: float
    validation_loss: float
    log_loss: float
    right: str
    is_ours: bool
    is_last: bool = True

    @property
    def accuracy(self) -> float:
        """On the test images."""
        return self.right.count("1") / len(self.right)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the accuracy."""
        low, high = wilson_interval(self.right.count("1"), len(self.right))
        return low, high

    @property
    def run(self) -> tuple[str, str, tuple[int, ...]]:
        """What one process measures."""
        return self.data, self.process, self.seeds


@dataclasses.dataclass(frozen=True)
class Finding:
    """A peer's point that lies above our curve.

    Attributes:
        peer: The point.
        ours: What was ours by then; None: nothing was finished.
        test: Ours (A) and the peer (B) on the same images.
    """

    peer: Point
    ours: Point | None = None
    test: PairedTest | None = None

    def __str__(self) -> str:
        peer = f"{self.peer.data}, {self.peer.seconds:.0f} s: {self.peer.contender}, {self.peer.setting}, has {self.peer.accuracy:.3f}"
        if self.ours is None or self.test is None:
            return f"{peer}, and nothing of ours is finished by then"
        chance = "beyond" if self.test.is_beyond_chance else "not beyond"
        return (
            f"{peer}, ours ({self.ours.contender}, {self.ours.setting}, {self.ours.seconds:.0f} s) {self.ours.accuracy:.3f}; "
            f"{chance} chance (McNemar p = {self.test.p_value:.2g})"
        )


def read_points(path: pathlib.Path, settings: Iterable[str]) -> list[Point]:
    """Returns the points of these machines and versions; of one that was measured again, the last.

    A process that measures again what it began replaces all of its earlier points.
    """
    known, runs = set(settings), {}
    for line in read_lines(path):
        if line["setting"] not in known:
            continue
        point = Point(**line["point"] | {"seeds": tuple(line["point"]["seeds"])})
        so_far = runs.setdefault(point.run, {})
        if line["is_first"]:
            so_far.clear()
        so_far[point.setting] = point
    return [point for of_run in runs.values() for point in of_run.values()]


def add_point(path: pathlib.Path, setting: str, point: Point, is_first: bool) -> None:
    """Appends a point; it is on the disk when this returns."""
    line = {"setting": setting, "is_first": is_first, "point": dataclasses.asdict(point)}
    add_line(path, line)


def finished_runs(points: Iterable[Point]) -> set[tuple[str, str, tuple[int, ...]]]:
    """Returns the runs whose last point is there."""
    return {point.run for point in points if point.is_last}


def pooled(points: Iterable[Point]) -> list[Point]:
    """Joins the points of one setting over their splits: means, and the answers to all test images."""
    together: dict[tuple[str, str, str], list[Point]] = {}
    for point in points:
        together.setdefault((point.data, point.contender, point.setting), []).append(point)
    joined = []
    for of_one in together.values():
        of_one.sort(key=lambda point: point.seeds)
        means = {
            name: float(np.mean([getattr(point, name) for point in of_one]))
            for name in ("seconds", "cpu_seconds", "validation", "validation_loss", "log_loss")
        }
        seeds = tuple(seed for point in of_one for seed in point.seeds)
        right = "".join(point.right for point in of_one)
        joined.append(dataclasses.replace(of_one[0], seeds=seeds, right=right, **means))
    return joined


def best_by(points: Sequence[Point], seconds: float) -> Point | None:
    """Returns what the validation images select of what is finished by then.

    The highest accuracy, of equal ones the least log loss, of equal ones the first.
    """
    finished = sorted((p for p in points if p.seconds <= seconds), key=lambda p: p.seconds)
    return max(finished, key=lambda p: (p.validation, -p.validation_loss), default=None)


def our_curve(points: Iterable[Point]) -> list[Point]:
    """Returns what is selected of our points as time goes by, each once: of one data set and the same splits."""
    ours = sorted((p for p in points if p.is_ours), key=lambda p: p.seconds)
    selected = [best_by(ours, point.seconds) for point in ours]
    return [point for point, kept in zip(ours, selected, strict=True) if kept is point]


def findings(points: Sequence[Point]) -> list[Finding]:
    """Returns the peers' points that lie above our curve.

    A point lies above where more of its test images are right than of what our validation images had selected by then
    of our points, on the same splits; also where nothing of ours was finished.
    """
    found = []
    for peer in sorted((p for p in points if not p.is_ours), key=lambda p: (p.data, p.seconds)):
        ours = [p for p in points if p.is_ours and (p.data, p.seeds) == (peer.data, peer.seeds)]
        mine = best_by(ours, peer.seconds)
        if mine is None:
            found.append(Finding(peer))
        elif peer.accuracy > mine.accuracy:
            found.append(Finding(peer, mine, mcnemar_test(_answers(mine), _answers(peer))))
    return found


def _answers(point: Point) -> np.ndarray:
    return np.array([mark == "1" for mark in point.right])
