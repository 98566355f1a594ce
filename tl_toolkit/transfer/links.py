"""What makes probabilities of a linear head's logits, and the loss of them: one class an example, or several labels."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from scipy.special import expit, log_softmax, logit

LEAST_SHARE = 1e-6  # of a class that no example has


class Link(Protocol):
    """How much examples count, and what is lost by logits."""

    @property
    def curvature(self) -> float:
        """Of a class's loss by its logit, at no knowledge."""

    def totals(self, folds: np.ndarray) -> np.ndarray:
        """Returns what all examples weigh together, float64[problems, 1 or classes].

        Args:
            folds: float64[examples, problems], by which weights differ.
        """

    def shares(self, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """Returns the biases that are best without features, float64[problems, classes]."""

    def respond(
        self, logits: np.ndarray, targets: np.ndarray, folds: np.ndarray, part: slice
    ) -> tuple[float, np.ndarray]:
        """Returns the loss of some examples, and its gradient by their logits, float64[part, problems, classes]."""

    def losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns the loss of each answer, by no weights: float64[examples], or float64[examples, classes]."""

    def right(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns of each answer whether it is right, of the shape of `losses`."""


@dataclasses.dataclass(frozen=True)
class OneClass:
    """Classes' probabilities add up to 1: multinomial logistic regression. Examples' weights are the folds' own."""

    classes: int

    @property
    def curvature(self) -> float:
        # The variance of a class with probability 1 / classes.
        return (1 - 1 / self.classes) / self.classes

    def totals(self, folds: np.ndarray) -> np.ndarray:
        return folds.sum(axis=0)[:, None]

    def shares(self, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
        shares = folds.T @ targets
        logs = np.log(np.maximum(shares / shares.sum(axis=1, keepdims=True), LEAST_SHARE))
        return logs - logs.mean(axis=1, keepdims=True)

    def respond(
        self, logits: np.ndarray, targets: np.ndarray, folds: np.ndarray, part: slice
    ) -> tuple[float, np.ndarray]:
        wanted, counted = targets[part, None], folds[part, :, None]
        log_probabilities = log_softmax(logits, axis=-1)
        loss = -(counted * wanted * log_probabilities).sum()
        return loss, (np.exp(log_probabilities) - wanted) * counted

    def losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return -(targets * log_softmax(logits, axis=1)).sum(axis=1)

    def right(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=1) == targets.argmax(axis=1)


@dataclasses.dataclass(frozen=True)
class SeveralLabels:
    """Each label has a probability of its own: as many binary logistic regressions, which share the features.

    Attributes:
        weights: float64[examples, labels], how much each answer counts; times the folds' own.
    """

    weights: np.ndarray

    @property
    def curvature(self) -> float:
        return 0.25

    def totals(self, folds: np.ndarray) -> np.ndarray:
        return folds.T @ self.weights

    def shares(self, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
        shares = folds.T @ (self.weights * targets) / self.totals(folds)
        return logit(np.clip(shares, LEAST_SHARE, 1 - LEAST_SHARE))

    def respond(
        self, logits: np.ndarray, targets: np.ndarray, folds: np.ndarray, part: slice
    ) -> tuple[float, np.ndarray]:
        wanted, counted = targets[part, None], folds[part, :, None] * self.weights[part, None]
        loss = (counted * (np.logaddexp(0, logits) - wanted * logits)).sum()
        return float(loss), (expit(logits) - wanted) * counted

    def losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, logits) - targets * logits

    def right(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return (logits >= 0) == (targets >= 0.5)
