"""Figures of a classifier on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from tl_toolkit.report.calibration import brier_score, reliability
from tl_toolkit.report.two_classes import ranking_metrics


def classification_metrics(
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    positive: int | None = None,
) -> dict[str, Any]:
    """Measures predictions against labels.

    Args:
        logits: float32[n, classes], or log-probabilities.
        labels: int64[n].
        class_names: In the order of the labels.
        positive: Of two classes, the number of the one that is to be found; None: nothing is said of it.

    Returns:
        Plain JSON values: `examples`, `top1`, `top1_interval` (95%, Wilson), `balanced_accuracy` (mean recall
        of the classes that occur), `log_loss` (natural logarithm), `calibration_error` (expected, in 15 bins),
        `brier_score` (0 to 2), `classes` (precision, recall, f1 and support by name) and `confusion_matrix` (rows: truth).
        With a positive class `positive_class`, `roc_auc` and `average_precision` too: see `ranking_metrics`.
    """
    predicted = logits.argmax(axis=-1)
    class_indices = range(len(class_names))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=class_indices, zero_division=0.0
    )
    correct = int(np.sum(predicted == labels))
    of_positive = {}
    if positive is not None:
        of_positive = {
            "positive_class": class_names[positive],
            **ranking_metrics(logits, labels, positive),
        }
    return {
        "examples": len(labels),
        "top1": correct / len(labels),
        "top1_interval": wilson_interval(correct, len(labels)),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "log_loss": log_loss(logits, labels),
        "calibration_error": reliability(logits, labels).calibration_error,
        "brier_score": brier_score(logits, labels),
        **of_positive,
        "classes": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, name in enumerate(class_names)
        },
        "confusion_matrix": confusion_matrix(labels, predicted, labels=class_indices).tolist(),
    }


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy, in nats."""
    losses = -log_softmax(logits.astype(np.float64), axis=-1)[np.arange(len(labels)), labels]
    return float(losses.mean())


def wilson_interval(correct: int, examples: int) -> list[float]:
    """95% interval of an accuracy (Wilson 1927): not degenerate where all answers are right, or none."""
    interval = binomtest(correct, examples).proportion_ci(confidence_level=0.95, method="wilson")
    return [float(interval.low), float(interval.high)]
