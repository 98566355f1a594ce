"""The walk from a recipe to a served classifier, once, left to right.

photos -> data -> [preprocessing -> backbone -> head] -> training -> evaluation -> SavedModel + report
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.data.augment import Augmentation, augmentation_named
from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.data.pipeline import (
    class_weights,
    epoch_order,
    evaluation_batches,
    kept_evaluation_batches,
    training_batches,
    training_signature,
)
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.training.loop import Progress, Schedule, train
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.precision import choose_precision, precision_scope
from tl_toolkit.training.step import Predictor, TrainingStep, make_predictor
from tl_toolkit.transfer.cached_part import CachedPart, cache_frozen_part
from tl_toolkit.transfer.defaults import Hyperparameters, hyperparameters
from tl_toolkit.transfer.feature_cache import STORAGE, FeatureCache, NoRoomError
from tl_toolkit.transfer.network import build_network, choose_network, open_recipe_weights
from tl_toolkit.transfer.plan import (
    FOLLOWING,
    STATE,
    TRAINED,
    FreezePlan,
    apply_plan,
    fingerprints,
    make_plan,
    verify_plan,
)

EVALUATION_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Context:
    """What trainings may share, and where one writes; nothing in it changes the result.

    Attributes:
        dataset: Opened already, as the recipe would open it; None: the training opens it.
        checkpoints: Folder that a training can be gone on from; None: it cannot.
        checkpoint_seconds: Least time between two checkpoints.
        callbacks: Keras callbacks.
        distribute: A `tf.distribute` strategy; None: one device.
        feature_cache: Where what frozen layers make of images is kept.
    """

    dataset: ImageDataset | None = None
    checkpoints: pathlib.Path | None = None
    checkpoint_seconds: float = 10.0
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    distribute: tf.distribute.Strategy | None = None
    feature_cache: FeatureCache = dataclasses.field(default_factory=FeatureCache)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that a training needs, made from a recipe.

    Attributes:
        recipe: What it was made from.
        dataset: The images.
        spec: What the network is and how it wants its images.
        model: Images to logits, with the weights loaded and the plan applied.
        plan: What training does to every variable.
        numbers: Every number of the training.
        augmentation: Of the training images.
        precision: `"float32"`, `"bfloat16"` or `"float16"`, what it is trained in.
        notes: What the user should know.
    """

    recipe: Recipe
    dataset: ImageDataset
    spec: WeightSpec
    model: keras.Model
    plan: FreezePlan
    numbers: Hyperparameters
    augmentation: Augmentation | None
    precision: str
    notes: tuple[str, ...]

    @functools.cached_property
    def predict(self) -> Predictor:
        """From evaluation batches to logits and labels; traced once."""
        return make_predictor(self.model)


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A training's result, selected by validation data alone.

    Attributes:
        experiment: What was trained.
        progress: History, best epoch, time.
        validation: `classification_metrics` on the validation images; None where there are none.
        verified: Variables that were compared, bit by bit, with what they were before.
    """

    experiment: Experiment
    progress: Progress
    validation: dict[str, Any] | None
    verified: int

    @property
    def model(self) -> keras.Model:
        """Images to logits, with the weights that were selected."""
        return self.experiment.model


def prepare(recipe: Recipe, context: Context | None = None) -> Experiment:
    """Opens the data, builds the model, loads the weights, makes and applies the plan."""
    context = context or Context()
    keras.utils.set_random_seed(recipe.seed)
    weights = open_recipe_weights(recipe)
    spec = choose_network(recipe, weights)
    dataset = context.dataset or open_recipe_data(recipe)
    distribute = context.distribute or tf.distribute.get_strategy()

    with distribute.scope():
        model, notes = build_network(recipe, spec, weights, len(dataset.class_names))
        examples = len(_epoch_order(recipe, dataset.train, epoch=0))
        numbers = hyperparameters(recipe, examples, distribute.num_replicas_in_sync)
        plan = make_plan(model, recipe.strategy, numbers.bn_mode)
        apply_plan(model, plan, numbers.bn_momentum)
    return Experiment(
        recipe=recipe,
        dataset=dataset,
        spec=spec,
        model=model,
        plan=plan,
        numbers=numbers,
        augmentation=augmentation_named(recipe.augmentation or dataset.augmentation),
        precision=choose_precision(recipe.precision),
        notes=(*dataset.notes, *(weights.notes if weights else ()), *notes, *numbers.notes),
    )


def train_and_validate(recipe: Recipe, context: Context | None = None) -> TrainedModel:
    """Trains a recipe's model and selects its weights. Test images are never read.

    Args:
        recipe: What to do.
        context: What trainings share, and where this one writes.

    Raises:
        InputError: The recipe, the data or the weights are not right, or the loss diverged.
        RuntimeError: A variable moved that the plan calls frozen.
    """
    with precision_scope(recipe.precision):
        return _train_and_validate(recipe, context or Context())


def _train_and_validate(recipe: Recipe, context: Context) -> TrainedModel:
    experiment = prepare(recipe, context)
    model, plan, numbers, dataset = (
        experiment.model,
        experiment.plan,
        experiment.numbers,
        experiment.dataset,
    )
    before = fingerprints(model, plan)
    started = time.monotonic()
    cached, notes = _cache_frozen_part(experiment, context.feature_cache)
    seconds_of_cache = time.monotonic() - started
    experiment = dataclasses.replace(experiment, notes=(*experiment.notes, *notes))
    distribute = context.distribute or tf.distribute.get_strategy()
    with distribute.scope():
        optimizer = make_optimizer(model, numbers)
    signature = None
    # A batch that is spread over replicas is no tensor, and has no such signature.
    if distribute.num_replicas_in_sync == 1:
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
        validate=_make_validation(experiment, cached),
        folder=context.checkpoints,
        identity={
            "recipe": recipe.to_json(),
            "weights": experiment.spec.name,
            "precision": experiment.precision,
            "data": _data_identity(dataset),
        },
        callbacks=context.callbacks,
    )
    progress.seconds += seconds_of_cache
    verified = verify_plan(model, plan, before)
    validation = None
    if dataset.validation is not None:
        validation = evaluate(experiment, dataset.validation)
    return TrainedModel(experiment, progress, validation, verified)


def evaluate(experiment: Experiment, split: Split) -> dict[str, Any]:
    """Returns `classification_metrics` of the experiment's model on a split."""
    logits, labels = predict_logits(experiment, split)
    return classification_metrics(logits, labels, experiment.dataset.class_names)


def predict_logits(experiment: Experiment, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns (float32[n, classes] logits, int64[n] labels) of a split."""
    batches = evaluation_batches(split, experiment.spec.preprocessing, EVALUATION_BATCH_SIZE)
    return experiment.predict(batches)


def _epoch_order(recipe: Recipe, split: Split, epoch: int) -> np.ndarray:
    return epoch_order(split.labels, recipe.seed, epoch, recipe.class_balance == "sampling")


def _cache_frozen_part(
    experiment: Experiment, cache: FeatureCache
) -> tuple[CachedPart | None, tuple[str, ...]]:
    """Computes what is frozen once; None where nothing is, or it shall not, or there is no room."""
    plan, numbers = experiment.plan, experiment.numbers
    if plan.cut is None or not experiment.recipe.cache:
        return None, ()
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
        return None, (f"the frozen layers are computed in every epoch: {error}",)
    return cached, ()


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
    if cached is not None:
        batches = cached.training_batches(dataset.train, **common)
    else:
        batches = training_batches(
            dataset.train,
            experiment.spec.preprocessing,
            experiment.augmentation,
            views=numbers.views,
            **common,
        )
    return distribute.experimental_distribute_dataset(batches)


def _make_validation(experiment: Experiment, cached: CachedPart | None):
    """Returns a function that gives an epoch's validation figures and its score, or None."""
    dataset, recipe = experiment.dataset, experiment.recipe
    if dataset.validation is None:
        return None
    if cached is not None:
        predict = make_predictor(cached.model)
        batches = cached.validation_batches(dataset.validation, EVALUATION_BATCH_SIZE)
    else:
        predict = experiment.predict
        batches = kept_evaluation_batches(
            dataset.validation, experiment.spec.preprocessing, EVALUATION_BATCH_SIZE
        )
    selected_by = "top1" if recipe.class_balance == "none" else "balanced_accuracy"

    def validate() -> tuple[dict[str, float], list[float]]:
        metrics = classification_metrics(*predict(batches), dataset.class_names)
        figures = {
            "val_loss": metrics["log_loss"],
            "val_top1": metrics["top1"],
            "val_balanced_accuracy": metrics["balanced_accuracy"],
        }
        return figures, [metrics[selected_by], -metrics["log_loss"]]

    return validate


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
