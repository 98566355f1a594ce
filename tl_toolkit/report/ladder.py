"""What strategy `"auto"` climbed: every rung's price and what it gave."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tl_toolkit.progress import Table

LADDER = "ladder.json"
ACCURACY, LABELS_RIGHT = "accuracy", "labels right"


@dataclasses.dataclass(frozen=True)
class Rung:
    """One training of a climb. Plain JSON values.

    Attributes:
        name: In words.
        strategy: As in a recipe's JSON.
        expected_seconds: Timed on a few batches beforehand; None where there was no time for that.
        seconds: What it took; None where it was not climbed.
        top1: Accuracy on the images that select, or what `measure` says; None likewise.
        log_loss: On them, the logits divided by the temperature that suits them best: what selects.
        kept: Whether it is the one.
        note: Why it was left out or trained for fewer epochs, what it took over from the rungs before it, or why its log loss
            alone did not decide.
        measure: What `top1` is, in words: of several labels an image, the share of them that is right.
    """

    name: str
    strategy: dict[str, Any]
    expected_seconds: float | None
    seconds: float | None = None
    top1: float | None = None
    log_loss: float | None = None
    kept: bool = False
    note: str = ""
    measure: str = ACCURACY


def on_test(measure: str) -> str:
    """Returns what a measure is called where it is of the test images."""
    return "test accuracy" if measure == ACCURACY else f"{measure} in the test"


def ladder_table(rungs: Sequence[Rung], caption: str = "") -> Table:
    """Returns a row a rung; a gain is over the best accuracy before it, in points."""
    rows, best = [], None
    for rung in rungs:
        gain = "–"
        if rung.top1 is not None:
            gain = "–" if best is None else f"{100 * (rung.top1 - best):+.1f}"
            best = rung.top1 if best is None else max(best, rung.top1)
        remark = "; ".join(filter(None, ("kept" if rung.kept else "", rung.note)))
        rows.append(
            (
                rung.name,
                "–" if rung.expected_seconds is None else duration(rung.expected_seconds),
                "–" if rung.seconds is None else duration(rung.seconds),
                "–" if rung.top1 is None else f"{rung.top1:.3f}",
                gain,
                "–" if rung.log_loss is None else f"{rung.log_loss:.3f}",
                remark,
            )
        )
    columns = "rung", "expected", "took", rungs[0].measure, "gain", "log loss", ""
    return Table(columns, tuple(rows), caption)


def measured(rungs: Sequence[Rung]) -> list[Rung]:
    """Returns those that were climbed, and that images selected by."""
    return [rung for rung in rungs if rung.seconds is not None and rung.top1 is not None]


def duration(seconds: float) -> str:
    """Returns seconds in words that say no more than is known: `0.8 s`, `45 s`, `12 min`, `3.4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
