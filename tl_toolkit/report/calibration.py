"""Whether a classifier's probabilities mean what they say: 80% of the answers given with 0.8 should be right."""

from __future__ import annotations

import numpy as np
import scipy.optimize
from scipy.special import log_softmax, softmax
from scipy.stats import binom

from tl_toolkit.report.curves import Reliability

BINS = 15
LOWEST, HIGHEST = 0.5, 10.0  # temperature: where all answers are right, none would be low enough


def reliability(logits: np.ndarray, labels: np.ndarray) -> Reliability:
    """Bins a classifier's answers.

    Args:
        logits: float[n, classes], or log-probabilities.
        labels: int64[n].
    """
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    confidence = np.nan_to_num(probabilities.max(axis=-1))  # of logits that are no numbers: 0
    is_right = probabilities.argmax(axis=-1) == labels
    of_bin = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(of_bin, minlength=BINS)
    divisor = np.maximum(counts, 1)
    return Reliability(
        counts,
        np.bincount(of_bin, confidence, BINS) / divisor,
        np.bincount(of_bin, is_right, BINS) / divisor,
    )


def error_by_chance(found: Reliability) -> float:
    """Returns the mean calibration error of such probabilities if each were as right as it says.

    Even such answers do not come out exactly as expected: it falls with the square root of their number. The right answers of a bin are
    binomial with its mean probability, and their mean distance from what is expected is De Moivre's.
    """
    some = found.counts > 0
    counts, shares = found.counts[some], found.confidences[some]
    distances = 2 * counts * shares * (1 - shares)
    distances *= binom.pmf(np.floor(counts * shares), counts - 1, shares)
    return float(distances.sum() / counts.sum())


def brier_score(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of the probabilities from the truth, summed over the classes: from 0 to 2 (Brier 1950)."""
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    truth = np.eye(logits.shape[-1])[labels]
    return float(np.square(probabilities - truth).sum(axis=-1).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns T by which logits have to be divided for the least log loss (Guo et al. 2017), from 0.5 to 10.

    No answer changes, only how sure it is: over 1 where the classifier was too sure.

    Args:
        logits: float[n, classes] of images that the classifier did not learn from.
        labels: int64[n]; or uint8[n, labels], of images with several labels.
    """
    logits = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        if labels.ndim == 2:
            of_all = logits / np.exp(log_temperature)
            return float((np.logaddexp(0, of_all) - labels * of_all).mean())
        of_each = log_softmax(logits / np.exp(log_temperature), axis=-1)
        return float(-of_each[np.arange(len(labels)), labels].mean())

    found = scipy.optimize.minimize_scalar(
        loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))
