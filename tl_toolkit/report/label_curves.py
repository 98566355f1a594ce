"""Precision by the share found, of each of several labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

from tl_toolkit.report.curves import LabelCurve

MOST_CURVES = 10  # lines that can be told apart


def label_curves(
    logits: np.ndarray, labels: np.ndarray, label_names: Sequence[str]
) -> list[LabelCurve]:
    """Returns a curve a label, of the commonest ones where there are many.

    Args:
        logits: float[n, labels].
        labels: uint8[n, labels] of 0 and 1.
        label_names: In the order of the columns.
    """
    curves = []
    for number in commonest_labels(labels):
        has, scores = labels[:, number] > 0, logits[:, number]
        precision, recall, _ = precision_recall_curve(has, scores)
        average = float(average_precision_score(has, scores))
        curves.append(LabelCurve(label_names[number], precision, recall, average))
    return curves


def commonest_labels(labels: np.ndarray, most: int = MOST_CURVES) -> list[int]:
    """Returns the numbers of the labels that most photos have, in their order; those that none has are left out."""
    counts = (labels > 0).sum(axis=0)
    order = np.argsort(-counts, kind="stable")[:most]
    return sorted(int(number) for number in order if counts[number])
