"""From which probability on each of several labels is given: chosen for its F1, by photos that are no test photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

DEFAULT = 0.5  # where there is nothing to choose by
MOST_PLACES = 12  # of a threshold


@dataclasses.dataclass(frozen=True)
class LabelThresholds:
    """Thresholds, and what they were chosen by.

    Attributes:
        values: A probability a label, in the order of the labels.
        images: Photos that they were chosen by; 0: there were none, and each is 0.5.
        kind: Which those are, such as `"validation images"`.
        without_photos: Numbers of the labels that none of those photos has; their threshold is 0.5.
    """

    values: tuple[float, ...]
    images: int = 0
    kind: str = ""
    without_photos: tuple[int, ...] = ()

    def note(self, label_names: Sequence[str]) -> str:
        """Returns what the user should know of labels that nothing was chosen for; "" where there are none."""
        if not self.images:
            return (
                "there were no images but the test's to choose thresholds by: every label is given from probability "
                f"{DEFAULT:g} on"
            )
        if not self.without_photos:
            return ""
        names = ", ".join(repr(label_names[number]) for number in self.without_photos)
        return f"none of the {self.images} {self.kind} has {names}: given from probability {DEFAULT:g} on"


def choose_label_thresholds(
    probabilities: np.ndarray, labels: np.ndarray, kind: str
) -> LabelThresholds:
    """Chooses each label's threshold for the highest F1; of equal ones that nearest to 0.5.

    A threshold lies between two probabilities that occur, and is as short as it can be printed, so that what is reported
    is what is served.

    Args:
        probabilities: float[n, labels] of photos that the model did not learn from; never test photos.
        labels: uint8[n, labels] of 0 and 1.
        kind: Which photos they are.
    """
    columns = range(labels.shape[1])
    return LabelThresholds(
        tuple(_best(probabilities[:, column], labels[:, column] > 0) for column in columns),
        len(labels),
        kind,
        tuple(column for column in columns if not labels[:, column].any()),
    )


def default_thresholds(labels: int) -> LabelThresholds:
    """Returns 0.5 for each of so many labels."""
    return LabelThresholds((DEFAULT,) * labels)


def _best(probabilities: np.ndarray, has: np.ndarray) -> float:
    if not has.any():
        return DEFAULT
    order = np.argsort(-probabilities, kind="stable")
    values, found = probabilities[order], np.cumsum(has[order])
    given = np.arange(1, len(values) + 1)
    ends = np.append(
        values[1:] < values[:-1], True
    )  # photos of equal probability are given together
    f1 = np.where(ends, 2 * found / (given + has.sum()), -1.0)
    candidates = []
    for last in np.flatnonzero(f1 >= f1.max() - 1e-12):
        below = float(values[last + 1]) if last + 1 < len(values) else 0.0
        candidates.append(_between(below, float(values[last])))
    return min(candidates, key=lambda threshold: (abs(threshold - DEFAULT), threshold))


def _between(low: float, high: float) -> float:
    """Returns the shortest number over `low` and at most `high`: 0.5 where it lies there."""
    if low < DEFAULT <= high:
        return DEFAULT
    middle = (low + high) / 2
    for places in range(2, MOST_PLACES + 1):
        rounded = round(middle, places)
        if low < rounded <= high:
            return rounded
    return high
