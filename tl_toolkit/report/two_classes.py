"""Two classes: how well a positive one is found, and from which probability on it has to be answered for that."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from tl_toolkit.report.curves import RankingCurves

SHARES_TO_FIND = (0.9, 0.95, 0.99)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What a model says of images that it did not learn from, and that are no test images.

    Attributes:
        logits: float[n, classes], as served; two of them for what is said of a positive class.
        labels: int64[n], or uint8[n, labels].
        kind: Which they are, such as `"validation images"`.
    """

    logits: np.ndarray
    labels: np.ndarray
    kind: str


def ranking_metrics(logits: np.ndarray, labels: np.ndarray, positive: int) -> dict[str, Any]:
    """How well the positive class's probabilities tell the two classes apart, at no threshold.

    Args:
        logits: float[n, 2], or log-probabilities.
        labels: int64[n].
        positive: Number of the positive class.

    Returns:
        `roc_auc`, the share of pairs of a positive and another image in which the positive one has the higher
        probability (ties are halves), and `average_precision`, the area under precision by recall (scikit-learn's,
        without interpolation); None where only one class occurs.
    """
    is_positive = labels == positive
    if is_positive.all() or not is_positive.any():
        return {"roc_auc": None, "average_precision": None}
    scores = positive_scores(logits, positive)
    return {
        "roc_auc": float(roc_auc_score(is_positive, scores)),
        "average_precision": float(average_precision_score(is_positive, scores)),
    }


def ranking_curves(logits: np.ndarray, labels: np.ndarray, positive: int) -> RankingCurves:
    """As `ranking_metrics`, at every threshold; both classes have to occur."""
    is_positive, scores = labels == positive, positive_scores(logits, positive)
    false_alarms, found, _ = roc_curve(is_positive, scores)
    precision, recall, _ = precision_recall_curve(is_positive, scores)
    areas, share = ranking_metrics(logits, labels, positive), float(is_positive.mean())
    return RankingCurves(false_alarms, found, precision, recall, **areas, positive_share=share)


def positive_scores(logits: np.ndarray, positive: int) -> np.ndarray:
    """float64[n], log-odds of the positive class: no two that differ are rounded to one, as probabilities near 1 are."""
    logits = logits.astype(np.float64)
    return logits[:, positive] - logits[:, 1 - positive]


def choose_threshold(held_out: HeldOut, positive: int, share: float) -> float | None:
    """Returns the highest probability from which on the positive class is answered, that finds a share of its images.

    It is rounded down to what can be printed, so that what is reported is what was measured.

    Args:
        held_out: Images to choose it by; never test images.
        positive: Number of the positive class.
        share: Of its images, over 0 and at most 1.

    Returns:
        From 0 to 1; None where no image is positive.
    """
    scores = _probabilities(held_out.logits, positive)[held_out.labels == positive]
    if not len(scores):
        return None
    # What floating point adds to a product such as 0.95 x 20 is no image.
    found = math.ceil(share * len(scores) - 1e-9)
    return _rounded_down(float(np.sort(scores)[::-1][max(found, 1) - 1]))


def at_threshold(
    logits: np.ndarray, labels: np.ndarray, positive: int, threshold: float
) -> dict[str, float | None]:
    """What it comes to if the positive class is answered from a probability on.

    Returns:
        `found`, the share of the positive images (recall); `false_alarms`, the share of the others that are taken for
        positive; `precision`, the share of what is taken for positive that is. None where there are no such images.
    """
    is_positive = labels == positive
    is_taken = _probabilities(logits, positive) >= threshold
    return {
        "found": _share(is_taken[is_positive]),
        "false_alarms": _share(is_taken[~is_positive]),
        "precision": _share(is_positive[is_taken]),
    }


def threshold_rows(
    held_out: HeldOut | None,
    test: tuple[np.ndarray, np.ndarray],
    positive: int,
    find: float | None,
) -> list[dict[str, Any]]:
    """Returns a row a share to find: the threshold that was chosen for it, and what it gives on the test images.

    Args:
        held_out: Images to choose by; None: there are none, and no rows.
        test: float[n, 2] logits as served and int64[n] labels.
        positive: Number of the positive class.
        find: The one share that is asked for; None: 90, 95 and 99%.
    """
    rows = []
    for share in (find,) if find is not None else SHARES_TO_FIND:
        threshold = choose_threshold(held_out, positive, share) if held_out is not None else None
        if held_out is None or threshold is None:
            continue
        rows.append(
            {
                "find": share,
                "threshold": threshold,
                "chosen_on": held_out.kind,
                "images": len(held_out.labels),
                "positive_images": int((held_out.labels == positive).sum()),
                "test": at_threshold(*test, positive, threshold),
            }
        )
    return rows


def _probabilities(logits: np.ndarray, positive: int) -> np.ndarray:
    return softmax(logits.astype(np.float64), axis=1)[:, positive]


def _share(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _rounded_down(probability: float) -> float:
    """Rounds down to three places, or to two digits of what is left to 0 or 1 where that is less than a hundredth."""
    left = min(probability, 1 - probability)
    if left <= 0:
        return probability
    places = max(3, 1 - math.floor(math.log10(left)))
    rounded = round(math.floor(probability * 10**places) / 10**places, places)
    return rounded if rounded <= probability else round(rounded - 10.0**-places, places)
