"""What a trained model says of the test images, looked at once, and all figures of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.report.held_back import MARKS, held_back
from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.report.two_classes import HeldOut, threshold_rows


@dataclasses.dataclass(frozen=True)
class Tested:
    """A trained model's test.

    Attributes:
        metrics: `classification_metrics`.
        logits: float32[n, classes] of the test images, as served.
        labels: int64[n].
        thresholds: `threshold_rows`, chosen by other images; empty unless there are two classes.
        held_back: What `held_back` says at each of `MARKS`.
    """

    metrics: dict[str, Any]
    logits: np.ndarray
    labels: np.ndarray
    thresholds: list[dict[str, Any]]
    held_back: list[dict[str, Any]]


def measure_test(trained: TrainedModel) -> Tested:
    """Reads the test images, and measures what a model says of them."""
    experiment = trained.experiment
    logits, labels = predict_logits(experiment, experiment.dataset.test)
    positive, thresholds = experiment.positive, []
    if positive is not None:
        find = experiment.recipe.find
        thresholds = threshold_rows(held_out(trained), (logits, labels), positive, find)
    return Tested(
        classification_metrics(logits, labels, experiment.dataset.class_names, positive),
        logits,
        labels,
        thresholds,
        [held_back(logits, labels, below) for below in MARKS],
    )


def held_out(trained: TrainedModel) -> HeldOut | None:
    """Returns the images that thresholds are chosen by, those that probabilities are calibrated by; None: none."""
    temperature, solved = trained.calibration.temperature, trained.solved
    if solved is not None and solved.path is not None:
        labels = trained.experiment.dataset.train.labels
        return HeldOut(solved.path.logits / temperature, labels, "training images out of fold")
    logits, validation = trained.validation_logits, trained.experiment.dataset.validation
    if logits is None or validation is None:
        return None
    return HeldOut(logits / temperature, validation.labels, "validation images")
