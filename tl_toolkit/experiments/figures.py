"""A model's figures on images, whichever form their labels have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_toolkit.data.labels import are_several
from tl_toolkit.report.label_metrics import label_metrics
from tl_toolkit.report.label_thresholds import DEFAULT
from tl_toolkit.report.metrics import classification_metrics


def figures_of(
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    positive: int | None = None,
    thresholds: Sequence[float] | np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns `classification_metrics`, or of images with several labels `label_metrics`.

    Args:
        logits: float[n, classes].
        labels: int64[n], or uint8[n, labels].
        class_names: In the order of the logits.
        positive: Of two classes, the number of the positive one.
        thresholds: Of several labels; None: 0.5 for each, which flatters no image that others would be chosen by.
    """
    if not are_several(labels):
        return classification_metrics(logits, labels, class_names, positive)
    given = (DEFAULT,) * len(class_names) if thresholds is None else thresholds
    return label_metrics(logits, labels, class_names, given)


def figures_of_epoch(metrics: dict[str, Any]) -> dict[str, float]:
    """Returns what the history and a search keep of the figures on the validation images."""
    if "top1" in metrics:
        return {
            "val_loss": metrics["log_loss"],
            "val_top1": metrics["top1"],
            "val_balanced_accuracy": metrics["balanced_accuracy"],
        }
    of_labels = {"mean_average_precision": metrics["mean_average_precision"]}
    of_labels["macro_f1"] = metrics["macro_f1"]
    return {
        "val_loss": metrics["log_loss"],
        **{f"val_{name}": np.nan if v is None else v for name, v in of_labels.items()},
        "val_label_accuracy": 1 - metrics["hamming_loss"],
    }
