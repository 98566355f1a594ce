"""`batch_norm_report`: how far batch normalisation's moving statistics are from those of given images, and why."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from scipy.special import log_softmax

from tl_toolkit.catalog import ADAPT
from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.labels import are_several
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.measured_images import (
    MOST_IMAGES,
    MeasuredImages,
    measured_images,
    preprocessing_of,
)
from tl_toolkit.export.saved_model import class_names_on_card
from tl_toolkit.export.saved_model_layout import SAVED_MODEL
from tl_toolkit.models.batch_norm_statistics import (
    InputStatistics,
    StatisticsReader,
    batch_norm_layers,
    gaps,
    mode_of,
)
from tl_toolkit.models.deep_graph import load_model
from tl_toolkit.progress import SILENT, Progress, Stage
from tl_toolkit.report import batch_norm_causes as causes
from tl_toolkit.report.batch_norm_page import BatchNormReport, BatchStatisticsEffect, LayerGap
from tl_toolkit.weights.run_folder import MODEL_FILE


def batch_norm_report(
    model: keras.Model | str | pathlib.Path,
    data: Any,
    *,
    images: int = MOST_IMAGES,
    steps: int | None = None,
    batch_size: int | None = None,
    progress: Progress = SILENT,
) -> BatchNormReport:
    """Measures how far moving statistics are from those of the data, layer by layer, and says why.

    The gap of a layer is measured on its input as it is in evaluation, with the layers before it normalising by
    their moving statistics: that is what serving sees. The same batches also run through the network as in training,
    layers that adapt normalising by their batch (all layers, if none adapts; dropout stays off): a layer whose gap is
    gone there has it from the layers before it, and the outputs of both passes show what the gaps cost. Batches of 32
    images and more make that comparison fair.

    Args:
        model: Any built Keras model with batch normalisation, ours or Keras' own; or the path of a finished run's
            folder or of a `.keras` file. It is not changed in any bit.
        data: A data URI, such as `"folder:photos"`, or an `ImageDataset`, of which the training images are taken,
            without augmentation, in mixed batches of 64; or batches of images, float or uint8[batch, height, width,
            3], as the model takes them (a classifier of this toolkit: RGB, 0-255), also as pairs with
            int64[batch] labels, such as a `tf.data.Dataset`; or one array, or pair of arrays, of all images.
        images: Most images of a URI or an `ImageDataset`; batches are all used.
        steps: Training steps since the statistics began to move, if known: says what momentum leaves of the old ones.
        batch_size: Images of a training batch, if known: says how noisy moving statistics must be.
        progress: Shows how far it is.

    Returns:
        A row for each layer; its `str()` is a table, its `summary()` says in words what is wrong and what helps.

    Raises:
        InputError: The model has no batch normalisation, or the data are not as described.

    Reference: Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3.

    Examples:
        >>> report = tl.batch_norm_report("my_run", "folder:photos")
        >>> report.images
        60
        >>> report.is_healthy  # a new head alone leaves the statistics of the weights, by intent
        True
    """
    class_names = None
    if not isinstance(model, keras.Model):
        model, class_names = _open(os.fspath(model))
    measured = measured_images(model, data, images, progress)
    with progress.stage("Measuring batch normalisation") as stage:
        return _report(model, measured, class_names, steps, batch_size, stage)


def _open(path: str) -> tuple[keras.Model, tuple[str, ...] | None]:
    place = user_path(path)
    file = place / MODEL_FILE if place.is_dir() else place
    if not file.is_file() or file.suffix != ".keras":
        raise InputError(
            f"{path!r} is neither a finished run's folder nor a .keras file, whose batch normalisation could be measured."
        )
    return load_model(file), class_names_on_card(file.parent / SAVED_MODEL)


def _report(
    model: keras.Model,
    measured: MeasuredImages,
    class_names: tuple[str, ...] | None,
    steps: int | None,
    batch_size: int | None,
    stage: Stage,
) -> BatchNormReport:
    layers = batch_norm_layers(model)
    adapting = [name for name, layer in layers.items() if mode_of(layer) == ADAPT]
    as_served, by_batch = StatisticsReader(model), StatisticsReader(model, adapting or layers)
    outputs: list[tuple[np.ndarray, np.ndarray]] = []
    labels: list[np.ndarray | None] = []
    lowest, highest = np.inf, -np.inf
    for batch, batch_labels in measured:
        lowest, highest = min(lowest, np.min(batch)), max(highest, np.max(batch))
        outputs.append((as_served(batch), by_batch(batch)))
        labels.append(batch_labels)
        stage.advance(len(batch))
    served, own = as_served.statistics(), by_batch.statistics()
    rows, evidence = [], []
    for name, layer in layers.items():
        row, of_layer = _measure(name, layer, served[name], own[name], batch_size)
        rows.append(row)
        evidence.append(of_layer)
    takes_pixels = preprocessing_of(model) is not None
    found = causes.causes(evidence, steps, takes_pixels and lowest >= 0 and highest <= 1)
    return BatchNormReport(
        rows=tuple(
            dataclasses.replace(row, cause=cause, explanation=explanation)
            for row, (cause, explanation) in zip(rows, found, strict=True)
        ),
        images=sum(len(moving) for moving, _ in outputs),
        effect=_effect(outputs, labels, _numbers(measured.class_names, class_names)),
    )


def _measure(
    name: str,
    layer: keras.layers.BatchNormalization,
    served: InputStatistics,
    own: InputStatistics,
    batch_size: int | None,
) -> tuple[LayerGap, causes.Evidence]:
    moving = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    mean_gaps, variance_gaps = gaps(*moving, served.mean, served.variance, layer.epsilon)
    own_means, own_variances = gaps(*moving, own.mean, own.variance, layer.epsilon)
    is_serious = _is_serious(layer, served, mean_gaps, variance_gaps)
    noise = None
    if batch_size is not None:
        # Of an average of independent batches whose weights fall off as momentum^age.
        momentum = layer.momentum
        of_image = own.mean_error * np.sqrt(own.images) / np.sqrt(own.variance + layer.epsilon)
        noise = float(np.median(of_image))
        noise *= np.sqrt((1 - momentum) / (1 + momentum) / batch_size)
    row = LayerGap(
        layer=name,
        mode=mode_of(layer),
        momentum=float(layer.momentum),
        channels=len(mean_gaps),
        mean_gap=float(np.median(mean_gaps)),
        worst_mean_gap=float(np.max(mean_gaps)),
        worst_mean_channel=int(np.argmax(mean_gaps)),
        variance_gap=float(np.median(variance_gaps)),
        worst_variance_gap=float(np.max(variance_gaps)),
        worst_variance_channel=int(np.argmax(variance_gaps)),
        own_mean_gap=float(np.median(own_means)),
        own_variance_gap=float(np.median(own_variances)),
        sampling_error=float(
            np.median(served.mean_error / np.sqrt(served.variance + layer.epsilon))
        ),
        is_serious=is_serious,
    )
    evidence = causes.Evidence(
        mode=row.mode,
        momentum=row.momentum,
        epsilon=layer.epsilon,
        moving_mean=moving[0].astype(np.float64),
        moving_variance=moving[1].astype(np.float64),
        mean=own.mean,
        variance=own.variance,
        is_serious=is_serious,
        own_is_serious=_is_serious(layer, own, own_means, own_variances),
        noise=noise,
        own_mean_gap=row.own_mean_gap,
    )
    return row, evidence


def _is_serious(
    layer: keras.layers.BatchNormalization,
    found: InputStatistics,
    mean_gaps: np.ndarray,
    variance_gaps: np.ndarray,
) -> bool:
    """Whether gaps are larger than can be let be, and than so few images explain."""
    if not np.isfinite([mean_gaps, variance_gaps]).all():
        return True
    variance = found.variance + layer.epsilon
    mean_errors = found.mean_error / np.sqrt(variance)
    mean_error, variance_error = np.median(mean_errors), np.median(found.variance_error / variance)
    wider = np.sqrt(np.maximum(layer.moving_variance.numpy() + layer.epsilon, variance) / variance)
    one_channel = mean_gaps / wider - causes.STANDARD_ERRORS_OF_ONE_CHANNEL * mean_errors
    return bool(
        np.median(mean_gaps) > causes.SERIOUS_MEAN_GAP + causes.STANDARD_ERRORS * mean_error
        or np.median(variance_gaps)
        > causes.SERIOUS_VARIANCE_GAP + causes.STANDARD_ERRORS * variance_error
        or np.max(one_channel) > causes.ONE_CHANNEL_GAP
    )


def _numbers(
    given: tuple[str, ...] | None, known: tuple[str, ...] | None
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Returns how labels become the model's class numbers; None where the model does not know a class."""
    if given is None or known is None:
        return lambda labels: labels
    if not set(given) <= set(known):
        return None
    class_numbers = np.array([known.index(name) for name in given])
    return lambda labels: class_numbers[labels]


def _effect(
    outputs: list[tuple[np.ndarray, np.ndarray]],
    labels: list[np.ndarray | None],
    number: Callable[[np.ndarray], np.ndarray] | None,
) -> BatchStatisticsEffect | None:
    known = [part for part in labels if part is not None]
    if number is None or len(known) < len(labels):
        return None
    if any(are_several(part) for part in known):  # it is measured on one class an image
        return None
    moving, batch = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    class_numbers = number(np.concatenate(known))
    if moving.ndim != 2 or moving.shape[1] < 2 or class_numbers.max() >= moving.shape[1]:
        return None
    (top1, log_loss), (batch_top1, batch_log_loss) = (
        _top1_and_log_loss(values, class_numbers) for values in (moving, batch)
    )
    return BatchStatisticsEffect(top1, batch_top1, log_loss, batch_log_loss)


def _top1_and_log_loss(outputs: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    outputs = outputs.astype(np.float64)
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):  # probabilities
        logs = np.log(np.maximum(outputs, np.finfo(np.float32).tiny))
    else:
        logs = log_softmax(outputs, axis=1)
    return (
        float((outputs.argmax(axis=1) == labels).mean()),
        float(-logs[np.arange(len(labels)), labels].mean()),
    )
