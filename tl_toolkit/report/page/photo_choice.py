"""Which photos a page shows: of every class, of every confusion, the dearest ones, and those worth explaining."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from tl_toolkit.report.answer_table import AnswerTable

T = TypeVar("T")

TOP_LOSSES = 24
OF_CLASS = 6  # of each kind, best, worst and doubtful; fewer where there are very many classes
MOST_OF_A_KIND = 1_200  # in all classes together
LISTED_IN_CELL = (60, 12, 4, 1)  # names of photos; fewer where there are many
MOST_LISTED = 6_000
TO_EXPLAIN = 4  # of each kind


@dataclasses.dataclass(frozen=True)
class OfClass:
    """Photos of one class, as positions in the table of answers.

    Attributes:
        best: Right, the surest first.
        worst: Wrong, those first whose own class was thought least probable.
        doubtful: Those first whose two most probable classes are nearest to each other.
    """

    best: tuple[int, ...]
    worst: tuple[int, ...]
    doubtful: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ChosenPhotos:
    """Positions of photos in a table of answers.

    Attributes:
        top_losses: Those first whose own class was thought least probable.
        of_class: A value a class.
        of_cell: By (true class, class said), the surest answers first; cells without a photo are left out.
        explained: As `photos_to_explain`.
    """

    top_losses: tuple[int, ...]
    of_class: tuple[OfClass, ...]
    of_cell: dict[tuple[int, int], tuple[int, ...]]
    explained: tuple[tuple[int, str], ...]

    @property
    def listed(self) -> list[int]:
        """All of them, once, in the order of the table."""
        of_class = (p for c in self.of_class for p in (*c.best, *c.worst, *c.doubtful))
        of_cell = (p for cell in self.of_cell.values() for p in cell)
        explained = (position for position, _ in self.explained)
        return sorted({*self.top_losses, *of_class, *of_cell, *explained})

    def by_importance(self) -> list[int]:
        """All of them, once: those first that a page with room for few photos has to show."""
        wrong = [photos for (truth, said), photos in self.of_cell.items() if truth != said]
        right = [photos for (truth, said), photos in self.of_cell.items() if truth == said]
        wrong.sort(key=len, reverse=True)
        of_class = [kind for c in self.of_class for kind in (c.best, c.worst, c.doubtful)]
        explained = [position for position, _ in self.explained]
        ordered = [*explained, *self.top_losses[: TOP_LOSSES // 2], *in_turn(wrong, 2)]
        ordered += [*in_turn(of_class, 3), *self.top_losses, *in_turn(wrong), *in_turn(of_class)]
        return list(dict.fromkeys([*ordered, *in_turn(right)]))


def choose_photos(table: AnswerTable) -> ChosenPhotos:
    """Chooses them; the same table gives the same photos."""
    dearest = np.argsort(table.of_truth, kind="stable")[:TOP_LOSSES]
    of_class = tuple(_of_class(table, label) for label in range(len(table.class_names)))
    return ChosenPhotos(
        top_losses=tuple(int(position) for position in dearest if not table.is_right[position]),
        of_class=of_class,
        of_cell=_of_cells(table),
        explained=photos_to_explain(table),
    )


def photos_to_explain(table: AnswerTable, of_each: int = TO_EXPLAIN) -> tuple[tuple[int, str], ...]:
    """Names the photos whose heat maps are worth their time, as positions in the table.

    Args:
        table: The answers.
        of_each: Photos of each kind, at most.

    Returns:
        Pairs of a position and why it was chosen: `"wrong"`, the surest wrong answers; `"doubtful"`, where two classes are
        nearest to each other; `"typical"`, right and as sure as the middle one of its class, of as many classes as can be.
    """
    chosen: dict[int, str] = {}

    def take(order: np.ndarray, why: str) -> None:
        fresh = [int(position) for position in order if int(position) not in chosen]
        chosen.update(dict.fromkeys(fresh[:of_each], why))

    wrong = np.flatnonzero(~table.is_right)
    take(wrong[np.argsort(-table.confidence[wrong], kind="stable")], "wrong")
    take(np.argsort(table.margin, kind="stable"), "doubtful")
    middles = []
    for label in range(len(table.class_names)):
        right = np.flatnonzero(table.is_right & (table.labels == label))
        if len(right):
            middles.append(
                right[np.argsort(table.confidence[right], kind="stable")][len(right) // 2]
            )
    take(np.array(middles, np.int64), "typical")
    return tuple(chosen.items())


def in_turn(several: Iterable[Sequence[T]], of_each: int | None = None) -> list[T]:
    """Returns the first of every sequence, then the second of every one, and so on."""
    rows = [list(one[:of_each]) for one in several]
    longest = max(map(len, rows), default=0)
    return [row[place] for place in range(longest) for row in rows if place < len(row)]


def _of_class(table: AnswerTable, label: int) -> OfClass:
    most = max(1, min(OF_CLASS, MOST_OF_A_KIND // len(table.class_names)))
    own = np.flatnonzero(table.labels == label)
    by_probability = own[np.argsort(table.of_truth[own], kind="stable")]
    best = [int(p) for p in by_probability[::-1] if table.is_right[p]]
    worst = [int(p) for p in by_probability if not table.is_right[p]]
    doubtful = own[np.argsort(table.margin[own], kind="stable")]
    return OfClass(
        tuple(best[:most]),
        tuple(worst[:most]),
        tuple(int(p) for p in doubtful[:most]),
    )


def _of_cells(table: AnswerTable) -> dict[tuple[int, int], tuple[int, ...]]:
    order = np.argsort(-table.confidence, kind="stable")
    cells: dict[tuple[int, int], list[int]] = {}
    for position in order:
        cell = int(table.labels[position]), int(table.said[position])
        cells.setdefault(cell, []).append(int(position))
    sizes = np.array([len(photos) for photos in cells.values()], np.int64)
    fitting = [most for most in LISTED_IN_CELL if np.minimum(sizes, most).sum() <= MOST_LISTED]
    most = fitting[0] if fitting else LISTED_IN_CELL[-1]
    # Of right answers a few say what the class looks like.
    return {
        (truth, said): tuple(photos[: most if truth != said else min(most, 2 * OF_CLASS)])
        for (truth, said), photos in sorted(cells.items())
    }
