"""Answers that are held back where the classifier is unsure: fewer are given, and more of those are right."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax

from tl_toolkit.report.metrics import wilson_interval

MARKS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # probabilities below which answers are held back
IN_SUMMARY = (0.8, 0.9, 0.95)


def held_back(logits: np.ndarray, labels: np.ndarray, below: float) -> dict[str, Any]:
    """Measures the answers that are given with a probability of at least `below`.

    Args:
        logits: float[n, classes] as served, or log-probabilities.
        labels: int64[n].
        below: From 0 to 1.

    Returns:
        Plain JSON values: `below`, `given` (how many answers), `held_back` (share of all), `top1` of those that are given
        and its `top1_interval` (95%, Wilson); None where none is.
    """
    confidence, is_right = _answers(logits, labels)
    given = is_right[confidence >= below]
    return {
        "below": below,
        "given": len(given),
        "held_back": 1 - len(given) / len(labels),
        "top1": float(given.mean()) if len(given) else None,
        "top1_interval": wilson_interval(int(given.sum()), len(given)) if len(given) else None,
    }


def held_back_curve(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Holds back the least sure answers, one after another; those of equal probability together.

    Returns:
        float64[points] shares that are held back, rising from 0, and float64[points] accuracies of the answers left.
    """
    confidence, is_right = _answers(logits, labels)
    order = np.argsort(confidence, kind="stable")
    confidence, is_right = confidence[order], is_right[order]
    starts = np.flatnonzero(np.diff(confidence, prepend=-1.0) > 0)
    right_from = np.cumsum(is_right[::-1])[::-1]
    return starts / len(labels), right_from[starts] / (len(labels) - starts)


def _answers(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    return probabilities.max(axis=-1), probabilities.argmax(axis=-1) == labels
