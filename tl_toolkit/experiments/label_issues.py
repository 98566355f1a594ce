"""Which labels are likely wrong, by what a head says of photos that it was not fitted to.

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
sections 3.1 and 3.2): a label is doubted where another class is as probable as it usually is of its own photos.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class LabelIssues:
    """What was found of every label.

    Attributes:
        margin: float64[n], the given class's probability less the likeliest other's, each less its class's
            threshold: the lower, the more doubtful.
        self_confidence: float64[n], the given class's probability.
        suggested: int64[n], the class that is confidently another, or the given one.
        order: int64[n], from the most doubtful on: the doubted ones first.
        count: How many are doubted.
    """

    margin: np.ndarray
    self_confidence: np.ndarray
    suggested: np.ndarray
    order: np.ndarray
    count: int

    @property
    def doubted(self) -> np.ndarray:
        """int64[count], the doubted photos, from the most doubtful on."""
        return self.order[: self.count]


def label_issues(probabilities: np.ndarray, labels: np.ndarray) -> LabelIssues:
    """Finds them.

    Args:
        probabilities: float[n, classes], of each photo by a head that was fitted without it and its copies.
        labels: int64[n], as given.
    """
    rows, classes = np.arange(len(labels)), probabilities.shape[1]
    own = probabilities[rows, labels]
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    thresholds = np.bincount(labels, weights=own, minlength=classes) / counts
    is_given = np.arange(classes) == labels[:, None]
    # A class that no photo has is never confidently another's.
    thresholds = np.where(np.bincount(labels, minlength=classes) > 0, thresholds, np.inf)
    is_confident = probabilities >= thresholds
    among = np.where(is_confident, probabilities, -1.0)
    suggested = np.where(is_confident.any(1), among.argmax(1), labels)
    over = probabilities - np.where(np.isinf(thresholds), 1.0, thresholds)
    margin = over[rows, labels] - np.where(is_given, -np.inf, over).max(1)
    is_doubted = suggested != labels
    return LabelIssues(
        margin=margin,
        self_confidence=own,
        suggested=suggested,
        order=np.lexsort((margin, ~is_doubted)),
        count=int(is_doubted.sum()),
    )
