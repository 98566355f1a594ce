"""The training of a new head that is solved for: one pass over the frozen layers, then logistic regression."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Iterator

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.pipeline import class_weights, example_weights
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.batch_source import EVALUATION_BATCH_SIZE
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.models.head import new_head
from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.training.run_state import TrainingProgress
from tl_toolkit.training.step import make_predictor
from tl_toolkit.transfer.cached_batches import CachedBatches
from tl_toolkit.transfer.cut import cut_model
from tl_toolkit.transfer.feature_cache import FeatureCache, SplitViews
from tl_toolkit.transfer.feature_room import NoRoomError
from tl_toolkit.transfer.solved_head import FeatureRows, SolvedHead, solve_head

ONE_IMAGE_A_CLASS = "with one image of most classes there is nothing to cross-validate: the head's L2 penalty is a default"


def solve_new_head(
    experiment: Experiment, context: Context
) -> tuple[SolvedHead, TrainingProgress, dict | None]:
    """Solves for the head of an experiment's model, and assigns it.

    Returns:
        How it was chosen, its history (one row a strength), and `classification_metrics` on the validation
        images, which nothing was chosen by; None where there are none.

    Raises:
        InputError: There is no room for the features.
    """
    recipe, dataset, model = experiment.recipe, experiment.dataset, experiment.model
    classes = len(dataset.class_names)
    started = time.monotonic()
    with _features(experiment, context) as (rows, cached):
        balance = None
        if (
            recipe.class_balance != "none"
        ):  # drawing rare classes more often is what weights do, on average
            balance = class_weights(dataset.train.labels, classes)
        with context.progress.stage("Solving for the new head"):
            solved = solve_head(
                rows,
                dataset.train.labels,
                classes,
                example_weights(dataset.train, balance),
                content_digests(dataset.train),
                label_smoothing=recipe.label_smoothing,
                seed=recipe.seed,
            )
        head = new_head(model)
        head.kernel.assign(solved.head.kernel)
        head.bias.assign(solved.head.bias)
        validation = None
        if dataset.validation is not None:
            batches = cached.validation_batches(dataset.validation, EVALUATION_BATCH_SIZE)
            logits, labels = make_predictor(cached.model)(batches)
            validation = classification_metrics(logits, labels, dataset.class_names)
    return solved, _as_progress(solved, time.monotonic() - started), validation


@contextlib.contextmanager
def _features(
    experiment: Experiment, context: Context
) -> Iterator[tuple[FeatureRows, CachedBatches]]:
    """Yields features of the training images under all views, and of the validation images."""
    recipe, dataset, cut_at = experiment.recipe, experiment.dataset, experiment.plan.cut
    if cut_at is None:
        raise RuntimeError(f"The network {experiment.model.name!r} has nothing before its head.")
    cut = cut_model(experiment.model, cut_at)
    wanted = [SplitViews(dataset.train)]
    views = experiment.hyperparameters.views or 1
    if views > 1 and experiment.augmentation is not None:
        wanted.append(SplitViews(dataset.train, experiment.augmentation, recipe.seed, views - 1))
    of_training = len(wanted)
    if dataset.validation is not None:
        wanted.append(SplitViews(dataset.validation))
    with _cache(recipe.cache, context) as cache:
        try:
            found = cache.features(
                cut.frozen, wanted, experiment.preprocessing, progress=context.progress
            )
        except NoRoomError as error:
            raise InputError(
                f"A new head is solved for from the features of all images together, and there is no room for them: "
                f"{error}. Make some, or train it by steps with solver='gradient'."
            ) from error
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


def _as_progress(solved: SolvedHead, seconds: float) -> TrainingProgress:
    progress = TrainingProgress(seconds=seconds)
    if solved.path is None:
        progress.history = [{"strength": solved.strength}]
        progress.notes = [ONE_IMAGE_A_CLASS]
        return progress
    path = solved.path
    progress.history = [
        {"strength": strength, "log_loss": float(loss), "top1": float(accuracy)}
        for strength, loss, accuracy in zip(
            path.strengths, path.log_losses, path.accuracies, strict=True
        )
    ]
    progress.best_epoch = path.best
    return progress
