"""What plots of answers are drawn from: plain data. The functions that compute them stand beside the figures they belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Answers by the probability that they were given with, in bins of equal width from 0 to 1.

    Attributes:
        counts: int64[bins], answers.
        confidences: float64[bins], their mean probability; 0 where there are none.
        accuracies: float64[bins], how many of them are right; 0 where there are none.
    """

    counts: np.ndarray
    confidences: np.ndarray
    accuracies: np.ndarray

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: the mean distance of accuracy and confidence, by answers (Guo et al. 2017)."""
        distances = np.abs(self.accuracies - self.confidences)
        return float((distances * self.counts).sum() / self.counts.sum())


@dataclasses.dataclass(frozen=True)
class HeldBackCurve:
    """Answers that are given, by how many are held back as unsure.

    Attributes:
        shares: float64[points], held back, rising from 0.
        accuracies: float64[points], of the answers left.
        marks: What `held_back` says at some probabilities.
    """

    shares: np.ndarray
    accuracies: np.ndarray
    marks: Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class RankingCurves:
    """How well the positive class of two is told from the other, at every threshold.

    Attributes:
        false_alarms: float64[thresholds], share of the others that is taken for positive.
        found: float64[thresholds], share of the positive images, of the same thresholds.
        precision: float64[points], share of what is taken for positive that is.
        recall: float64[points], share found, of the same thresholds.
        roc_auc: Area under `found` by `false_alarms`.
        average_precision: Area under `precision` by `recall`.
        positive_share: Of the images.
    """

    false_alarms: np.ndarray
    found: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    roc_auc: float
    average_precision: float
    positive_share: float


@dataclasses.dataclass(frozen=True)
class LabelCurve:
    """Precision by the share found, of one of several labels.

    Attributes:
        name: Of the label.
        precision: float64[points].
        recall: float64[points].
        average_precision: Area under the one by the other.
    """

    name: str
    precision: np.ndarray
    recall: np.ndarray
    average_precision: float
