"""The walk from a recipe to a served classifier, once, left to right.

photos -> data -> [preprocessing -> backbone -> head] -> training -> evaluation -> SavedModel + report
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.pipeline import (
    Shard,
    class_weights,
    evaluation_batches,
    kept_evaluation_batches,
    training_batches,
    training_signature,
)
from tl_toolkit.devices.processes import Processes, lost_workers_explained
from tl_toolkit.devices.strategy import describe_devices
from tl_toolkit.errors import InputError
from tl_toolkit.preparation import Context, Experiment, prepare
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.training.loop import Schedule, train
from tl_toolkit.training.memory import Progress
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.precision import precision_scope
from tl_toolkit.training.step import TrainingStep, make_predictor
from tl_toolkit.transfer.cached_part import CachedPart, cache_frozen_part
from tl_toolkit.transfer.feature_cache import STORAGE, FeatureCache, NoRoomError
from tl_toolkit.transfer.plan import (
    FOLLOWING,
    STATE,
    TRAINED,
    fingerprints,
    verify_plan,
)

EVALUATION_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A training's result, selected by validation data alone.

    Attributes:
        experiment: What was trained.
        progress: History, best epoch, time.
        validation: `classification_metrics` on the validation images; None where there are none.
        verified: Variables that were compared, bit by bit, with what they were before.
        devices: What it was trained on, and how a batch was shared out.
    """

    experiment: Experiment
    progress: Progress
    validation: dict[str, Any] | None
    verified: int
    devices: str

    @property
    def model(self) -> keras.Model:
        """Images to logits, with the weights that were selected."""
        return self.experiment.model


def train_and_validate(recipe: Recipe, context: Context | None = None) -> TrainedModel:
    """Trains a recipe's model and selects its weights. Test images are never read.

    Args:
        recipe: What to do.
        context: What trainings share, and where this one writes.

    Raises:
        InputError: The recipe, the data or the weights are not right, or the loss diverged.
        RuntimeError: A variable moved that the plan calls frozen.
        LostWorkerError: Another process of the run is gone.
    """
    context = context or Context()
    processes = Processes(context.devices(recipe))
    with precision_scope(recipe.precision), lost_workers_explained(processes):
        return _train_and_validate(recipe, context, processes)


def _train_and_validate(recipe: Recipe, context: Context, processes: Processes) -> TrainedModel:
    experiment = prepare(recipe, context)
    model, plan, numbers, dataset = (
        experiment.model,
        experiment.plan,
        experiment.numbers,
        experiment.dataset,
    )
    identity = _identity(experiment)
    _check_all_train_the_same(experiment, identity, processes)
    distribute = context.devices(recipe)
    devices = describe_devices(distribute, numbers.batch_size)
    if context.announce is not None:
        context.announce(devices)
    before = fingerprints(model, plan)
    started = time.monotonic()
    cached, notes = _cache_frozen_part(experiment, context.feature_cache, processes)
    seconds_of_cache = time.monotonic() - started
    experiment = dataclasses.replace(experiment, notes=(*experiment.notes, *notes))
    with distribute.scope():
        optimizer = make_optimizer(model, numbers)
    signature = (
        cached.training_signature()
        if cached is not None
        else training_signature(experiment.spec.preprocessing)
    )
    step = TrainingStep(
        cached.model if cached is not None else model,
        optimizer,
        numbers.label_smoothing,
        distribute,
        signature,
    )
    predict_validation = _validation_predictor(experiment, cached, distribute)
    moving = set(plan.paths(TRAINED, FOLLOWING, STATE))
    progress = train(
        model,
        step,
        optimizer,
        moving_variables=[v for v in model.variables if v.path in moving],
        batches_from=functools.partial(_training_batches, experiment, cached, distribute),
        schedule=Schedule(
            numbers.epochs, numbers.steps_per_epoch, recipe.patience, context.checkpoint_seconds
        ),
        validate=_make_validation(experiment, predict_validation),
        folder=context.checkpoints,
        identity=identity,
        callbacks=context.callbacks,
        processes=processes,
    )
    progress.seconds += seconds_of_cache
    experiment = dataclasses.replace(experiment, notes=(*experiment.notes, *progress.notes))
    verified = verify_plan(model, plan, before)
    validation = (
        classification_metrics(*predict_validation(), dataset.class_names)
        if predict_validation
        else None
    )
    return TrainedModel(experiment, progress, validation, verified, devices)


def evaluate(experiment: Experiment, split: Split) -> dict[str, Any]:
    """Returns `classification_metrics` of the experiment's model on a split."""
    logits, labels = predict_logits(experiment, split)
    return classification_metrics(logits, labels, experiment.dataset.class_names)


def predict_logits(experiment: Experiment, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns (float32[n, classes] logits, int64[n] labels) of a split."""
    batches = evaluation_batches(split, experiment.spec.preprocessing, EVALUATION_BATCH_SIZE)
    return experiment.predict(batches)


def _cache_frozen_part(
    experiment: Experiment, cache: FeatureCache, processes: Processes
) -> tuple[CachedPart | None, tuple[str, ...]]:
    """Computes what is frozen once; None where nothing is, or it shall not, or there is no room."""
    plan, numbers = experiment.plan, experiment.numbers
    if plan.cut is None or not experiment.recipe.cache:
        return None, ()
    cached, why = None, "another process has no room"
    try:
        cached = cache_frozen_part(
            experiment.model,
            plan.cut,
            experiment.dataset,
            experiment.spec.preprocessing,
            experiment.augmentation,
            seed=experiment.recipe.seed,
            views=numbers.views if experiment.augmentation is not None else 1,
            storage=experiment.precision if experiment.precision in STORAGE else "float32",
            cache=cache,
        )
    except NoRoomError as error:
        why = str(error)
    if processes.all_agree(cached is not None):
        return cached, ()
    return None, (f"the frozen layers are computed in every epoch: {why}",)


def _training_batches(
    experiment: Experiment,
    cached: CachedPart | None,
    distribute: tf.distribute.Strategy,
    epoch: int,
    step: int,
) -> tf.data.Dataset:
    recipe, numbers, dataset = experiment.recipe, experiment.numbers, experiment.dataset
    weights = None
    if recipe.class_balance == "weights":
        weights = class_weights(dataset.train.labels, len(dataset.class_names))
    common = {
        "class_weights": weights,
        "batch_size": numbers.batch_size,
        "epochs": numbers.epochs,
        "seed": recipe.seed,
        "first_epoch": epoch,
        "first_step": step,
        "balanced": recipe.class_balance == "sampling",
    }

    def batches_of_process(process: tf.distribute.InputContext) -> tf.data.Dataset:
        shard = Shard.of(process)
        if cached is not None:
            return cached.training_batches(dataset.train, shard=shard, **common)
        return training_batches(
            dataset.train,
            experiment.spec.preprocessing,
            experiment.augmentation,
            views=numbers.views,
            shard=shard,
            **common,
        )

    return distribute.distribute_datasets_from_function(batches_of_process)


def _validation_predictor(
    experiment: Experiment, cached: CachedPart | None, distribute: tf.distribute.Strategy
) -> Callable[[], tuple[np.ndarray, np.ndarray]] | None:
    """Returns a function that gives the validation images' logits and labels; None where there are none."""
    split = experiment.dataset.validation
    if split is None:
        return None
    if cached is not None:
        batches = cached.validation_batches(split, EVALUATION_BATCH_SIZE)
        return functools.partial(make_predictor(cached.model, distribute), batches)
    batches = kept_evaluation_batches(split, experiment.spec.preprocessing, EVALUATION_BATCH_SIZE)
    if distribute.num_replicas_in_sync == 1:
        return functools.partial(experiment.predict, batches)
    return functools.partial(make_predictor(experiment.model, distribute), batches)


def _make_validation(experiment: Experiment, predict: Callable | None):
    """Returns a function that gives an epoch's validation figures and its score, or None."""
    if predict is None:
        return None
    dataset, recipe = experiment.dataset, experiment.recipe
    selected_by = "top1" if recipe.class_balance == "none" else "balanced_accuracy"

    def validate() -> tuple[dict[str, float], list[float]]:
        metrics = classification_metrics(*predict(), dataset.class_names)
        figures = {
            "val_loss": metrics["log_loss"],
            "val_top1": metrics["top1"],
            "val_balanced_accuracy": metrics["balanced_accuracy"],
        }
        return figures, [metrics[selected_by], -metrics["log_loss"]]

    return validate


def _identity(experiment: Experiment) -> dict[str, Any]:
    """What must be equal for a checkpoint to be gone on from; on other devices it is."""
    recipe = experiment.recipe.to_json()
    return {
        "recipe": {name: value for name, value in recipe.items() if name != "devices"},
        "weights": experiment.spec.name,
        "precision": experiment.precision,
        "data": _data_identity(experiment.dataset),
    }


def _check_all_train_the_same(
    experiment: Experiment, identity: dict[str, Any], processes: Processes
) -> None:
    """Raises `InputError` on all processes where one has another recipe, other images or other weights."""
    if processes.count == 1:
        return
    digest = hashlib.sha256()
    for variable in experiment.model.variables:
        digest.update(variable.numpy().tobytes())
    different = processes.differences(
        {
            **identity,
            "numbers": dataclasses.asdict(experiment.numbers),
            "validation images": len(experiment.dataset.validation or ()),
            "values of the weights": digest.hexdigest(),
            "package versions": [tf.__version__, keras.__version__, np.__version__],
        }
    )
    if different:
        raise InputError(
            f"The {processes.count} processes would not train the same: they differ in "
            f"{', '.join(different)}. Give all of them the same command, images, weights and packages."
        )


def _data_identity(dataset: ImageDataset) -> dict[str, Any]:
    """What must be equal for a checkpoint to belong to the data: classes, and which images train."""
    return {
        "class_names": list(dataset.class_names),
        "train": [
            len(dataset.train),
            int(dataset.train.ids.sum()),
            int(dataset.train.labels.sum()),
        ],
    }
