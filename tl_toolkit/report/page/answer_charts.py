"""Charts of what probabilities are worth: reliability, answers held back, and of two classes every threshold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from sklearn.metrics import precision_recall_curve, roc_curve

from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.calibration import error_by_chance, reliability
from tl_toolkit.report.held_back import MARKS, held_back, held_back_curve
from tl_toolkit.report.page.shell import percent, shortened
from tl_toolkit.report.page.xy_chart import Axis, Series, xy_chart

WHOLE = (0.0, 1.0)
MOST_THRESHOLDS = 400


def reliability_chart(table: AnswerTable) -> Markup:
    """Draws how many of the answers of each probability are right."""
    found = reliability(table.log_probabilities, table.labels)
    some = found.counts > 0
    served = Series(
        f"answers: off by {100 * found.calibration_error:.1f} points on average",
        found.confidences[some].tolist(),
        found.accuracies[some].tolist(),
    )
    return xy_chart(
        f"Reliability diagram; the calibration error is {found.calibration_error:.3f}, and perfectly calibrated "
        f"probabilities would show {error_by_chance(found):.3f} on as many answers",
        Axis("probability of the answer", WHOLE, is_percent=True),
        Axis("right answers", WHOLE, is_percent=True),
        [served, Series("as many as it says", [0, 1], [0, 1], "reference")],
    )


def held_back_chart(table: AnswerTable) -> Markup:
    """Draws how many of the answers that are given are right, by the share that is held back."""
    shares, accuracies = held_back_curve(table.log_probabilities, table.labels)
    rows = [held_back(table.log_probabilities, table.labels, below) for below in MARKS]
    marks: dict[tuple[float, float], list[str]] = {}
    for row in rows:
        if row["top1"] is not None:
            marks.setdefault((row["held_back"], row["top1"]), []).append(f"{row['below']:g}")
    lowest = float(min(accuracies[shares <= 0.9].min(), accuracies[0]))
    return xy_chart(
        "Right answers by the share of answers held back",
        Axis("answers held back", WHOLE, is_percent=True),
        Axis("right, of those given", (max(lowest - 0.03, 0.0), 1.002), is_percent=True),
        [
            Series("the least sure held back first", shares.tolist(), accuracies.tolist(), "step"),
            Series(
                "all below a probability of",
                [x for x, _ in marks],
                [y for _, y in marks],
                "points",
                [
                    names[0] if len(names) == 1 else f"{names[0]}–{names[-1]}"
                    for names in marks.values()
                ],
            ),
        ],
    )


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Of two classes, every threshold that makes a difference.

    Attributes:
        name: The class that is to be found.
        other: The other class.
        charts: ROC, and precision by recall, each with a point for the script to move.
        data: For the script: the thresholds, how many photos of the class and of the other have at least that
            probability, how many there are, and at which one it begins.
    """

    name: str
    other: str
    charts: tuple[Markup, Markup]
    data: Mapping[str, Any]


def thresholds_of(
    table: AnswerTable, positive: int, chosen: Sequence[Mapping[str, Any]]
) -> Thresholds | None:
    """Returns what the page needs to move a threshold; None where one of the classes does not occur.

    Args:
        table: Answers of two classes.
        positive: Number of the class that is to be found.
        chosen: `threshold_rows` of the run, marked on both curves.
    """
    is_positive = table.labels == positive
    if is_positive.all() or not is_positive.any():
        return None
    scores = table.probabilities[:, positive]
    name, other = table.class_names[positive], table.class_names[1 - positive]
    false_alarms, found, _ = roc_curve(is_positive, scores)
    precision, recall, _ = precision_recall_curve(is_positive, scores)
    marks = [row for row in chosen if row["test"]["found"] is not None]
    at = {
        key: [row["test"][key] or 0.0 for row in marks]
        for key in ("false_alarms", "found", "precision")
    }
    found_label = f"found, of “{shortened(name)}”"
    share = float(is_positive.mean())
    roc = xy_chart(
        f"ROC curve of “{name}”",
        Axis("false alarms, of the others", WHOLE, is_percent=True),
        Axis(found_label, (0.0, 1.02), is_percent=True),
        [
            Series("every threshold", false_alarms.tolist(), found.tolist(), "step"),
            Series("chosen ones", at["false_alarms"], at["found"], "points"),
            Series("chance", [0, 1], [0, 1], "reference"),
        ],
        moves="roc",
    )
    curve = xy_chart(
        f"Precision by share found, of “{name}”",
        Axis(found_label, WHOLE, is_percent=True),
        Axis("right, of those taken for it", (0.0, 1.02), is_percent=True),
        [
            Series("every threshold", recall[::-1].tolist(), precision[::-1].tolist(), "step"),
            Series("chosen ones", at["found"], at["precision"], "points"),
            Series(f"chance, {percent(share, 0)}", [0, 1], [share, share], "reference"),
        ],
        moves="precision",
    )
    return Thresholds(name, other, (roc, curve), _every_threshold(scores, is_positive, chosen))


def _every_threshold(
    scores: np.ndarray, is_positive: np.ndarray, chosen: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    distinct = np.unique(scores)
    # Evenly by photos, so that no two steps of many photos are one.
    kept = distinct[
        np.linspace(0, len(distinct) - 1, min(len(distinct), MOST_THRESHOLDS)).round().astype(int)
    ]
    extra = [0.0, 0.5, 1.0, *(row["threshold"] for row in chosen)]
    values = np.unique([*kept, *extra])
    positive, others = np.sort(scores[is_positive]), np.sort(scores[~is_positive])
    start = chosen[0]["threshold"] if len(chosen) == 1 else 0.5
    return {
        "values": [float(f"{value:.6f}") for value in values],
        "found": (len(positive) - np.searchsorted(positive, values)).tolist(),
        "alarms": (len(others) - np.searchsorted(others, values)).tolist(),
        "positive": len(positive),
        "others": len(others),
        "start": int(np.searchsorted(values, start)),
    }
