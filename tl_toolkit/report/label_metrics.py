"""Figures of a classifier that gives a photo any number of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score

from tl_toolkit.report.metrics import wilson_interval


def label_metrics(
    logits: np.ndarray,
    labels: np.ndarray,
    label_names: Sequence[str],
    thresholds: Sequence[float] | np.ndarray,
) -> dict[str, Any]:
    """Measures the labels that photos are given against those that they have.

    Args:
        logits: float[n, labels], of which each label's probability is the sigmoid.
        labels: uint8[n, labels] of 0 and 1.
        label_names: In the order of the columns.
        thresholds: The probability from which on each label is given, float[labels]; or float[n, labels], where photos
            have thresholds of their own.

    Returns:
        Plain JSON values. At the thresholds: `macro_f1` (mean over the labels that occur), `micro_f1` (of all answers
        together), `subset_accuracy` (photos with all labels right) and its `subset_accuracy_interval` (95%, Wilson), and
        `hamming_loss` (share of all answers that are wrong). At no threshold: `mean_average_precision` (mean over the labels that
        occur of scikit-learn's average precision; None where none does) and `log_loss` (mean over all answers of the
        binary cross-entropy, in nats). `examples`; and `labels`, by name `average_precision` (None where the label does not
        occur), `precision`, `recall`, `f1`, `threshold` (None where photos have thresholds of their own), `support` (photos that have it),
        `prevalence` (their share), `missed` (photos that have it and are not given it) and `false` (the other way round).
    """
    probabilities = expit(logits.astype(np.float64))
    thresholds = np.asarray(thresholds, np.float64)
    has, is_given = labels > 0, probabilities >= thresholds
    support, given, hits = has.sum(axis=0), is_given.sum(axis=0), (has & is_given).sum(axis=0)
    precision = hits / np.maximum(given, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + given, 1)
    occurs = support > 0
    average_precision = [
        float(average_precision_score(has[:, k], logits[:, k])) if occurs[k] else None
        for k in range(len(label_names))
    ]
    known = [value for value in average_precision if value is not None]
    right = int((has == is_given).all(axis=1).sum())
    return {
        "examples": len(labels),
        "mean_average_precision": float(np.mean(known)) if known else None,
        "macro_f1": float(f1[occurs].mean()) if known else None,
        "micro_f1": float(2 * hits.sum() / max(support.sum() + given.sum(), 1)),
        "subset_accuracy": right / len(labels),
        "subset_accuracy_interval": wilson_interval(right, len(labels)),
        "hamming_loss": float((has != is_given).mean()),
        "log_loss": label_log_loss(logits, labels),
        "labels": {
            name: {
                "average_precision": average_precision[k],
                "precision": float(precision[k]),
                "recall": float(recall[k]),
                "f1": float(f1[k]),
                "threshold": float(thresholds[k]) if thresholds.ndim == 1 else None,
                "support": int(support[k]),
                "prevalence": float(has[:, k].mean()),
                "missed": int(support[k] - hits[k]),
                "false": int(given[k] - hits[k]),
            }
            for k, name in enumerate(label_names)
        },
    }


def label_log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean binary cross-entropy of all answers, in nats; the arguments are those of `label_metrics`."""
    logits = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))


def are_of_labels(metrics: Mapping[str, Any]) -> bool:
    """Whether these are `label_metrics`, and not those of one class a photo."""
    return "mean_average_precision" in metrics
