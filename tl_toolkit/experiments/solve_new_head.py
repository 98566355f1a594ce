"""A new head that is solved for: one pass over the layers before it, then logistic regression."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from tl_toolkit.catalog import ADAPT
from tl_toolkit.data.kept_together import kept_together
from tl_toolkit.data.pipeline import class_weights, example_weights
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.batch_source import EVALUATION_BATCH_SIZE
from tl_toolkit.experiments.calibrate import Calibration, calibrate
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.experiments.recompute_batch_norm import recompute_batch_norm
from tl_toolkit.models.head import head_input, new_head
from tl_toolkit.training.run_state import TrainingProgress
from tl_toolkit.training.step import LABEL_ACCURACY, TOP1, make_predictor
from tl_toolkit.transfer.cached_batches import CachedBatches
from tl_toolkit.transfer.cut import cut_model
from tl_toolkit.transfer.feature_cache import FeatureCache, SplitViews
from tl_toolkit.transfer.feature_room import NoRoomError
from tl_toolkit.transfer.solved_head import FeatureRows, SolvedHead, solve_head

ONE_IMAGE_A_CLASS = "with one image of most classes there is nothing to cross-validate: the head's L2 penalty is a default"


def solve_new_head(
    experiment: Experiment, context: Context, processes: ProcessGroup
) -> tuple[SolvedHead, TrainingProgress, np.ndarray | None, Calibration]:
    """Trains a new head alone: solves for it, and assigns it.

    Returns:
        How it was chosen; its history (one row a strength); the logits of the validation images, which nothing
        was chosen by, before they are divided, float32[n, classes], or None where there are none; and by what
        they were divided.

    Raises:
        NoRoomError: There is no room for the features.
    """
    started, dataset = time.monotonic(), experiment.dataset
    try:
        views = experiment.hyperparameters.views or 1
        with features_of_head(experiment, context, processes, views) as (rows, cached):
            solved = _solve(experiment, context, processes, rows)
            validation = _validate(experiment, cached)
    except NoRoomError as error:
        raise NoRoomError(
            f"A new head is solved for from the features of all images together, and there is no room for them: "
            f"{error}. Make some, or train it by steps with solver='gradient'."
        ) from error
    calibration = Calibration()
    if solved.path is not None:
        of_training = solved.path.logits, dataset.train.labels
        calibration = calibrate(experiment.model, *of_training, "training images out of fold")
    progress = _as_progress(solved, time.monotonic() - started, several=dataset.has_several_labels)
    return solved, progress, validation, calibration


def start_from_solved_head(
    experiment: Experiment, context: Context, processes: ProcessGroup
) -> tuple[str, ...]:
    """Gives a model that is about to be fine-tuned the head that is best before it ("LP-FT", Kumar et al. 2022).

    Where batch normalisations adapt, training normalises by its batches from the first step on, and a head for features
    by the old statistics would not fit what it then sees: they are recomputed from the training images first.

    Returns:
        What the user should know: that there was no room for the features, and the head starts at 0.
    """
    if ADAPT in experiment.plan.bn_modes.values():
        moved = recompute_batch_norm(
            experiment.model, experiment.dataset, fixed="skip", progress=context.progress
        )
        layers = [experiment.model.get_layer(row.layer) for row in moved]
        processes.broadcast_variables(
            [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
        )
    try:
        with features_of_head(experiment, context, processes, views=1) as (rows, _):
            _solve(experiment, context, processes, rows)
    except NoRoomError as error:
        return (f"the new head starts at 0 and is not solved for first: {error}",)
    return ()


def _validate(experiment: Experiment, cached: CachedBatches) -> np.ndarray | None:
    if experiment.dataset.validation is None:
        return None
    predict = experiment.traced.get(
        ("predict", cached.cut.layer), lambda: make_predictor(cached.model)
    )
    batches = cached.validation_batches(experiment.dataset.validation, EVALUATION_BATCH_SIZE)
    return predict(batches)[0]


def _solve(
    experiment: Experiment, context: Context, processes: ProcessGroup, rows: FeatureRows
) -> SolvedHead:
    recipe, train = experiment.recipe, experiment.dataset.train
    classes, balance = len(experiment.dataset.class_names), None
    # Drawing rare classes more often is what weights do, on average.
    if recipe.class_balance != "none":
        balance = class_weights(train.labels, classes)
    with context.progress.stage("Solving for the new head"):
        solved = solve_head(
            rows,
            train.labels,
            classes,
            example_weights(train, balance),
            kept_together(train),
            label_smoothing=recipe.label_smoothing,
            seed=recipe.seed,
        )
    head = new_head(experiment.model)
    head.kernel.assign(solved.head.kernel)
    head.bias.assign(solved.head.bias)
    processes.broadcast_variables(head.weights)  # other processors round otherwise
    return solved


@contextlib.contextmanager
def features_of_head(
    experiment: Experiment, context: Context, processes: ProcessGroup, views: int
) -> Iterator[tuple[FeatureRows, CachedBatches]]:
    """Yields what the head sees of the training images under all views, and of the validation images.

    Raises:
        NoRoomError: They do not fit together.
    """
    recipe, dataset = experiment.recipe, experiment.dataset
    cut = cut_model(experiment.model, head_input(experiment.model))
    wanted = [SplitViews(dataset.train)]
    if views > 1 and experiment.augmentation is not None:
        wanted.append(SplitViews(dataset.train, experiment.augmentation, recipe.seed, views - 1))
    of_training = len(wanted)
    if dataset.validation is not None:
        wanted.append(SplitViews(dataset.validation))
    with _cache(recipe.cache, context) as cache:
        found, reason = None, "another process has no room for them"
        try:
            found = cache.features(
                cut.frozen, wanted, experiment.preprocessing, progress=context.progress
            )
        except NoRoomError as error:
            reason = str(error)
        if not processes.all_agree(found is not None) or found is None:
            raise NoRoomError(reason)
        validation = found[of_training] if dataset.validation is not None else None
        cached = CachedBatches(cut, found[0], validation)
        try:
            yield FeatureRows(found[:of_training]), cached
        finally:
            cached.release()


@contextlib.contextmanager
def _cache(is_kept: bool, context: Context) -> Iterator[FeatureCache]:
    """Yields the features' place: for a recipe that keeps none, a folder that is removed."""
    if is_kept:
        yield context.feature_cache
        return
    with tempfile.TemporaryDirectory(prefix="tl_toolkit_features_") as folder:
        yield dataclasses.replace(context.feature_cache, folder=pathlib.Path(folder))


def _as_progress(solved: SolvedHead, seconds: float, *, several: bool) -> TrainingProgress:
    progress = TrainingProgress(seconds=seconds)
    if solved.path is None:
        progress.history = [{"strength": solved.strength}]
        progress.notes = [ONE_IMAGE_A_CLASS]
        return progress
    path = solved.path
    accuracy_name = LABEL_ACCURACY if several else TOP1
    progress.history = [
        {"strength": strength, "log_loss": float(loss), accuracy_name: float(accuracy)}
        for strength, loss, accuracy in zip(
            path.strengths, path.log_losses, path.accuracies, strict=True
        )
    ]
    progress.best_epoch = path.best
    return progress
