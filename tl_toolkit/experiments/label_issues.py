"""Which labels are likely wrong, by what a head says of photos that it was not fitted to.

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
sections 3.1 and 3.2). A photo is confidently of a class that is as probable as it usually is of its own photos. Photos that
are confidently of none are taken to be mislabelled as often as the others of their label, which estimates how many labels are
wrong; as many are doubted, those first that are confidently of another class. Of photos with several labels, each label is
judged on its own, as one of two classes: it is there, or it is not; doubted is what the head says is rather the other way.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tl_toolkit.data.labels import are_several, probabilities_of


@dataclasses.dataclass(frozen=True)
class LabelIssues:
    """What was found of every label: of a photo's class, or, of photos with several, of each label that they may have.

    Attributes:
        photo: int64[n], the photo whose label it is.
        label: int64[n], which label is judged, of photos with several; else that of the photo.
        margin: float64[n], the given class's probability less the likeliest other's, each less its class's
            threshold: the lower, the more doubtful.
        self_confidence: float64[n], the given class's probability.
        suggested: int64[n], of doubted labels the class that it rather is, of others the given one; of photos with
            several labels 1 where it is, or rather would be, there, else 0.
        order: int64[n], from the most doubtful on: the doubted ones first.
        count: How many are doubted: as many as are estimated to be wrong.
    """

    photo: np.ndarray
    label: np.ndarray
    margin: np.ndarray
    self_confidence: np.ndarray
    suggested: np.ndarray
    order: np.ndarray
    count: int

    @property
    def doubted(self) -> np.ndarray:
        """int64[count], the doubted labels, from the most doubtful on."""
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
        photo=rows,
        label=labels,
        margin=margin,
        self_confidence=own,
        suggested=suggested,
        order=order,
        count=count,
    )


def issues_of(logits: np.ndarray, labels: np.ndarray) -> LabelIssues:
    """Finds them for labels in either form; see `tl_toolkit.data.labels`.

    Args:
        logits: float[n, classes], of each photo by a head that was fitted without it and its copies.
        labels: As given.
    """
    several = are_several(labels)
    probabilities = probabilities_of(logits, several=several)
    if not several:
        return label_issues(probabilities, labels)
    found = [
        label_issues(np.stack([1 - is_there, is_there], 1), given.astype(np.int64))
        for is_there, given in zip(probabilities.T, labels.T, strict=True)
    ]
    photos, columns = labels.shape
    margin = np.concatenate([issues.margin for issues in found])
    is_doubted = np.zeros((columns, photos), bool)
    for of_label, issues in zip(is_doubted, found, strict=True):
        # What a head hardly sees, such as a label of few photos, it calls improbable everywhere: that doubts no photo without it.
        of_label[issues.doubted] = issues.self_confidence[issues.doubted] < 0.5
    return LabelIssues(
        photo=np.tile(np.arange(photos), columns),
        label=np.repeat(np.arange(columns), photos),
        margin=margin,
        self_confidence=np.concatenate([issues.self_confidence for issues in found]),
        suggested=np.concatenate([issues.suggested for issues in found]),
        order=np.lexsort((margin, ~is_doubted.ravel())),
        count=int(is_doubted.sum()),
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
