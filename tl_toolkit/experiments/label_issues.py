"""Which labels are likely wrong, by what a head says of photos that it was not fitted to.

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
sections 3.1 and 3.2). A photo is confidently of a class that is as probable as it usually is of its own photos. Photos that
are confidently of none are taken to be mislabelled as often as the others of their label, which estimates how many labels are
wrong; as many are doubted, those first that are confidently of another class.
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
        suggested: int64[n], of doubted labels the class that it rather is, of others the given one.
        order: int64[n], from the most doubtful on: the doubted ones first.
        count: How many are doubted: as many as are estimated to be wrong.
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
    counts = np.bincount(labels, minlength=classes)
    thresholds = np.bincount(labels, weights=own, minlength=classes) / np.maximum(counts, 1)
    # A class that no photo has is never confidently another's.
    thresholds = np.where(counts > 0, thresholds, np.inf)
    is_confident = probabilities >= thresholds
    is_of_one = is_confident.any(1)
    likeliest = np.where(is_confident, probabilities, -1.0).argmax(1)
    is_other = is_of_one & (likeliest != labels)
    over = probabilities - thresholds
    others = np.where(np.arange(classes) == labels[:, None], -np.inf, over)
    margin = over[rows, labels] - others.max(1)
    order = np.lexsort((margin, ~is_other))
    wrong = _estimate(labels[is_of_one], is_other[is_of_one], counts)
    count = min(round(wrong), int((is_other | (margin < 0)).sum()))
    rather = np.where(is_other, likeliest, others.argmax(1))
    suggested = labels.copy()
    suggested[order[:count]] = rather[order[:count]]
    return LabelIssues(
        margin=margin, self_confidence=own, suggested=suggested, order=order, count=count
    )


def _estimate(labels: np.ndarray, is_other: np.ndarray, counts: np.ndarray) -> float:
    """Returns how many labels are wrong (equation 3).

    Args:
        labels: int64[m], of the photos that are confidently of a class.
        is_other: bool[m], whether it is not that of the label.
        counts: int64[classes], photos of each label, confidently of a class or not.
    """
    seen = np.bincount(labels, minlength=len(counts))
    wrong = np.bincount(labels[is_other], minlength=len(counts))
    return float((wrong * counts / np.maximum(seen, 1)).sum())
