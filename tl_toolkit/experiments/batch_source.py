"""Where a training's batches come from: images decoded for every epoch, or features computed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from tl_toolkit.data.evaluation_batches import decoded_evaluation_batches
from tl_toolkit.data.labels import several_count
from tl_toolkit.data.pipeline import (
    ReplicaShares,
    class_weights,
    training_batches,
    training_signature,
)
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.progress import Progress
from tl_toolkit.training.step import Predictor, make_predictor
from tl_toolkit.transfer.cached_batches import CachedBatches, cache_features
from tl_toolkit.transfer.feature_cache import STORAGE, NoRoomError

EVALUATION_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class BatchSource:
    """The batches of a training, and the part of the network that they go into.

    Attributes:
        model: From the batches' inputs to logits.
        signature: Of a training batch: (inputs, labels, weights), whatever its size.
        training: From keyword arguments of `training_batches` to a `tf.data.Dataset`.
        validation: Batches of (inputs, labels); None where there are no validation images.
        predict: From validation batches to logits and labels.
        close: Call it when the batches are no longer read; the features may then be evicted.
    """

    model: keras.Model
    signature: tuple[tf.TensorSpec, ...]
    training: Callable[..., tf.data.Dataset]
    validation: Iterable | None
    predict: Predictor
    close: Callable[[], None] = lambda: None


def open_batch_source(
    experiment: Experiment, context: Context, processes: ProcessGroup
) -> tuple[BatchSource, tuple[str, ...]]:
    """Computes the frozen layers once where the plan freezes some and there is room; else streams images.

    Returns:
        The source, and what the user should know of it.
    """
    cached, reason = None, "another process has no room for them"
    distribute = context.devices(experiment.recipe)
    if experiment.plan.cut is None or not experiment.recipe.cache:
        return _streamed(experiment, distribute, context.progress), ()
    try:
        cached = _compute_features(experiment, experiment.plan.cut, context)
    except NoRoomError as error:
        reason = str(error)
    if processes.all_agree(cached is not None) and cached is not None:
        return _from_features(experiment, cached, distribute), ()
    if cached is not None:
        cached.release()
    note = f"the frozen layers are computed again in every epoch: {reason}"
    return _streamed(experiment, distribute, context.progress), (note,)


def distributed_batches(
    experiment: Experiment,
    source: BatchSource,
    distribute: tf.distribute.Strategy,
    epoch: int,
    step: int,
) -> tf.data.Dataset:
    """Returns every replica's share of all batches, from that step of that epoch on."""
    recipe, hyperparameters = experiment.recipe, experiment.hyperparameters
    labels = experiment.dataset.train.labels
    weights = None
    if recipe.class_balance == "weights":
        weights = class_weights(labels, len(experiment.dataset.class_names))
    batches: dict[str, Any] = {
        "class_weights": weights,
        "batch_size": hyperparameters.batch_size,
        "epochs": hyperparameters.epochs,
        "seed": recipe.seed,
        "first_epoch": epoch,
        "first_step": step,
        "balanced": recipe.class_balance == "sampling",
    }
    return distribute.distribute_datasets_from_function(
        lambda process: source.training(replica_shares=ReplicaShares.of(process), **batches)
    )


def _streamed(
    experiment: Experiment, distribute: tf.distribute.Strategy, progress: Progress
) -> BatchSource:
    preprocessing, dataset = experiment.preprocessing, experiment.dataset
    augmentation = experiment.augmentation

    def training(**batches: Any) -> tf.data.Dataset:
        return training_batches(
            dataset.train,
            preprocessing,
            augmentation,
            views=experiment.hyperparameters.views,
            progress=progress,
            **batches,
        )

    validation = None
    if dataset.validation is not None:
        validation = decoded_evaluation_batches(
            dataset.validation, preprocessing, EVALUATION_BATCH_SIZE, progress
        )
    is_shared = distribute.num_replicas_in_sync > 1
    return BatchSource(
        model=experiment.model,
        signature=training_signature(
            preprocessing,
            mixed=augmentation is not None and augmentation.mixes,
            several=several_count(dataset.train.labels),
        ),
        training=training,
        validation=validation,
        predict=_shared_predictor(experiment, distribute) if is_shared else experiment.predict,
    )


def _from_features(
    experiment: Experiment, cached: CachedBatches, distribute: tf.distribute.Strategy
) -> BatchSource:
    dataset = experiment.dataset
    validation = None
    if dataset.validation is not None:
        validation = cached.validation_batches(dataset.validation, EVALUATION_BATCH_SIZE)
    return BatchSource(
        model=cached.model,
        signature=cached.training_signature(several_count(dataset.train.labels)),
        training=lambda **batches: cached.training_batches(dataset.train, **batches),
        validation=validation,
        predict=experiment.traced.get(
            ("predict", cached.cut.layer), lambda: make_predictor(cached.model, distribute)
        ),
        close=cached.release,
    )


def _shared_predictor(experiment: Experiment, distribute: tf.distribute.Strategy) -> Predictor:
    return experiment.traced.get(
        "predict on all replicas", lambda: make_predictor(experiment.model, distribute)
    )


def _compute_features(experiment: Experiment, cut: str, context: Context) -> CachedBatches:
    views = experiment.hyperparameters.views or 1
    return cache_features(
        experiment.model,
        cut,
        experiment.dataset,
        experiment.preprocessing,
        experiment.augmentation,
        seed=experiment.recipe.seed,
        views=views if experiment.augmentation is not None else 1,
        storage=experiment.precision if experiment.precision in STORAGE else "float32",
        cache=context.feature_cache,
        progress=context.progress,
    )
