"""How long a training will take, from a few of its own batches."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import tempfile
import time

import numpy as np

from tl_toolkit.catalog import ADAPT, LBFGS
from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.batch_source import distributed_batches, open_batch_source
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.measured_images import MOST_IMAGES
from tl_toolkit.experiments.prepare import Experiment, prepare
from tl_toolkit.experiments.solve_new_head import features_of_head
from tl_toolkit.experiments.train_and_validate import take_step
from tl_toolkit.progress import SILENT
from tl_toolkit.recipe import Recipe
from tl_toolkit.training.precision import precision_scope

BATCHES = 3  # the first of them traces
FEWEST_EPOCHS = 3  # that are worth training for


@dataclasses.dataclass(frozen=True)
class ExpectedTime:
    """Seconds of a training.

    Attributes:
        once: What comes before the first epoch: features that are computed once.
        epoch: Of one epoch with its validation; 0 where nothing is trained by steps.
        epochs: As many as the recipe trains for; 0 likewise.
        fewest: Epochs under which it is not worth it, or a stage would never join in.
    """

    once: float
    epoch: float = 0.0
    epochs: int = 0
    fewest: int = FEWEST_EPOCHS

    @property
    def seconds(self) -> float:
        """Of the whole training."""
        return self.once + self.epochs * self.epoch

    def epochs_within(self, seconds: float) -> int | None:
        """Returns for how many epochs there is time, at most `epochs`; None where it is too few to train at all."""
        if self.seconds <= seconds:
            return self.epochs
        if not self.epochs or not self.epoch:
            return None
        fitting = int((seconds - self.once) / self.epoch)
        return fitting if fitting >= self.fewest else None


def time_rung(recipe: Recipe, context: Context) -> ExpectedTime:
    """Times a training on a few of its images.

    What is traced for it is kept with the network, for the training itself. The network's weights move: take it
    from `context.networks` again.

    Args:
        recipe: Of the training.
        context: With the opened data, and networks that trainings share.
    """
    processes = ProcessGroup(context.devices(recipe))
    with precision_scope(recipe.precision), tempfile.TemporaryDirectory() as folder:
        experiment = prepare(recipe, context)
        cache = dataclasses.replace(context.feature_cache, folder=pathlib.Path(folder))
        aside = dataclasses.replace(context, feature_cache=cache, progress=SILENT)
        if recipe.solver == LBFGS:
            return ExpectedTime(once=_pass(experiment, aside, processes))
        return _steps(experiment, aside, processes)


def _pass(experiment: Experiment, context: Context, processes: ProcessGroup) -> float:
    """Seconds in which the layers before the head see all training views and validation images once."""
    dataset, views = experiment.dataset, experiment.hyperparameters.views or 1
    images = len(dataset.train) * views + len(dataset.validation or ())
    batch = experiment.hyperparameters.batch_size
    timed: list[tuple[int, float]] = []
    for count in (batch, 3 * batch):
        few = _few(dataset, count)
        started = time.monotonic()
        with features_of_head(_on(experiment, few), context, processes, views=1):
            timed.append((len(few.train), time.monotonic() - started))
    (fewer, start), (more, seconds) = timed
    if more < 2 * fewer:  # these are nearly all images
        return seconds / more * images
    per_image = max(seconds - start, 0.0) / (more - fewer)
    return max(start - per_image * fewer, 0.0) + per_image * images


def _steps(experiment: Experiment, context: Context, processes: ProcessGroup) -> ExpectedTime:
    recipe, hyperparameters = experiment.recipe, experiment.hyperparameters
    distribute = context.devices(recipe)
    few = _few(experiment.dataset, BATCHES * hyperparameters.batch_size)
    of_few = _on(experiment, few)
    is_cached = experiment.plan.cut is not None and recipe.cache
    views = (hyperparameters.views or 1) if is_cached and experiment.augmentation is not None else 1
    if is_cached:  # of these images one view is enough
        one_view = dataclasses.replace(hyperparameters, views=1)
        of_few = dataclasses.replace(of_few, hyperparameters=one_view)
    started = time.monotonic()
    source, _ = open_batch_source(of_few, context, processes)
    per_image = (time.monotonic() - started) / len(few.train) if is_cached else 0.0
    try:
        step = take_step(experiment, source, distribute)
        batches = distributed_batches(of_few, source, distribute, 0, 0)
        seconds, started = [], time.monotonic()
        for batch in itertools.islice(batches, BATCHES):  # with what it takes to make them
            step(batch)
            seconds.append(time.monotonic() - started)
            started = time.monotonic()
    finally:
        source.close()
    train, validation = len(experiment.dataset.train), len(experiment.dataset.validation or ())
    per_step = float(np.min(seconds))
    # Forward is a third of a step; frozen layers see validation images once.
    forward = per_step / 3 / hyperparameters.batch_size
    once = per_image * (train * views + validation)
    if getattr(recipe.strategy, "head_first", False):
        once += _pass(experiment, context, processes)
        if ADAPT in experiment.plan.bn_modes.values():
            once += min(train, MOST_IMAGES) * forward  # whose statistics are recomputed
    joined = (
        max(u.first_step for u in experiment.updates.values()) // hyperparameters.steps_per_epoch
    )
    epoch = hyperparameters.steps_per_epoch * per_step + validation * forward
    return ExpectedTime(once, epoch, hyperparameters.epochs, max(FEWEST_EPOCHS, joined + 1))


def _few(dataset: ImageDataset, count: int) -> ImageDataset:
    """The first training images of a data set, in a random order."""
    order = np.random.default_rng(0).permutation(len(dataset.train))[:count]
    return dataclasses.replace(dataset, train=dataset.train.take(order), validation=None)


def _on(experiment: Experiment, dataset: ImageDataset) -> Experiment:
    """The experiment on other images, whose classes are not made to weigh the same."""
    recipe = experiment.recipe.replace(class_balance="none")
    return dataclasses.replace(experiment, dataset=dataset, recipe=recipe)
