"""Figures of a classifier on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

BOOTSTRAP_SAMPLES = 10_000


def classification_metrics(
    logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """Measures predictions against labels.

    Args:
        logits: float32[n, classes], or log-probabilities.
        labels: int64[n].
        class_names: In the order of the labels.
        seed: Of the bootstrap.

    Returns:
        Plain JSON values: `examples`, `top1`, `top1_interval` (95%, percentile bootstrap),
        `balanced_accuracy` (mean recall of the classes that occur), `log_loss` (natural logarithm),
        `classes` (precision, recall, f1 and support by name) and `confusion_matrix` (rows: truth).
    """
    predicted = logits.argmax(axis=-1)
    class_indices = range(len(class_names))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=class_indices, zero_division=0.0
    )
    top1 = float(np.mean(predicted == labels))
    return {
        "examples": len(labels),
        "top1": top1,
        "top1_interval": bootstrap_interval(top1, len(labels), seed),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "log_loss": log_loss(logits, labels),
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
    return float(
        -log_softmax(logits.astype(np.float64), axis=-1)[np.arange(len(labels)), labels].mean()
    )


def bootstrap_interval(share: float, examples: int, seed: int = 0) -> list[float]:
    """95% percentile bootstrap interval of a share of right answers.

    To draw `examples` answers with replacement and count the right ones is a binomial draw.
    """
    draws = np.random.default_rng(seed).binomial(examples, share, BOOTSTRAP_SAMPLES) / examples
    low, high = np.percentile(draws, (2.5, 97.5))
    return [float(low), float(high)]
