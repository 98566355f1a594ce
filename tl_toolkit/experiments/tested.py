"""What a trained model says of the test images, looked at once, and all figures of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tl_toolkit.data.labels import probabilities_of
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.figures import figures_of
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.report.held_back import MARKS, held_back
from tl_toolkit.report.label_thresholds import (
    LabelThresholds,
    choose_label_thresholds,
    default_thresholds,
)
from tl_toolkit.report.two_classes import HeldOut, threshold_rows


@dataclasses.dataclass(frozen=True)
class Tested:
    """A trained model's test.

    Attributes:
        metrics: `classification_metrics`, or `label_metrics`.
        logits: float32[n, classes] of the test images, as served.
        labels: int64[n], or uint8[n, labels].
        thresholds: `threshold_rows`, chosen by other images; empty unless there are two classes.
        held_back: What `held_back` says at each of `MARKS`; empty where an image may have several labels.
        label_thresholds: Of several labels, chosen by other images; None of one class an image.
    """

    metrics: dict[str, Any]
    logits: np.ndarray
    labels: np.ndarray
    thresholds: list[dict[str, Any]]
    held_back: list[dict[str, Any]]
    label_thresholds: LabelThresholds | None = None


def measure_test(trained: TrainedModel) -> Tested:
    """Reads the test images, and measures what a model says of them."""
    experiment = trained.experiment
    logits, labels = predict_logits(experiment, experiment.dataset.test)
    if (chosen := label_thresholds(trained)) is not None:
        names = experiment.dataset.class_names
        metrics = figures_of(logits, labels, names, thresholds=chosen.values)
        return Tested(metrics, logits, labels, [], [], chosen)
    positive, thresholds = experiment.positive, []
    if positive is not None:
        find = experiment.recipe.find
        thresholds = threshold_rows(held_out(trained), (logits, labels), positive, find)
    return Tested(
        figures_of(logits, labels, experiment.dataset.class_names, positive),
        logits,
        labels,
        thresholds,
        [held_back(logits, labels, below) for below in MARKS],
    )


def label_thresholds(trained: TrainedModel) -> LabelThresholds | None:
    """Returns from which probability on each of several labels is given; None of one class an image.

    They are chosen by images that probabilities are calibrated by, as the calibrated model sees them; test images are not read.
    """
    dataset = trained.experiment.dataset
    if not dataset.has_several_labels:
        return None
    images = held_out(trained)
    if images is None:
        return default_thresholds(len(dataset.class_names))
    probabilities = probabilities_of(images.logits, several=True)
    return choose_label_thresholds(probabilities, images.labels, images.kind)


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
