"""`find_learning_rate`: the loss while the learning rate rises, on exactly the batches of a recipe's training."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib

import keras
import numpy as np

from tl_toolkit.catalog import LBFGS
from tl_toolkit.devices.process_group import ProcessGroup, explain_lost_workers
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.batch_source import distributed_batches, open_batch_source
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import Experiment, prepare
from tl_toolkit.experiments.solve_new_head import start_from_solved_head
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.learning_rate_curve import (
    DIVERGED,
    FEWEST_STEPS,
    smoothed_losses,
    suggest_learning_rate,
)
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.precision import precision_scope
from tl_toolkit.training.step import TrainingStep

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 100


@dataclasses.dataclass(frozen=True, eq=False)
class LearningRates:
    """What `tl.find_learning_rate` found.

    Attributes:
        rates: float64[steps], the learning rate of each step.
        losses: float64[steps], the mean loss of the step's batch, before its update.
        smoothed: float64[steps], `losses` through a Gaussian of two steps.
        suggestion: A peak learning rate for the recipe; None where the curve shows none.
        reason: In words, why this one, or why none.
        default: What the recipe is trained with as it is.

    Examples:
        Of the curve that is the example of `tl.find_learning_rate`:

        >>> len(curve.rates) == len(curve.losses) <= 30
        True
        >>> curve.default
        0.01
        >>> curve.plot("curve.png")
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    reason: str
    default: float

    def plot(self, path: str | pathlib.Path) -> None:
        """Draws the losses over the learning rates, with the suggestion and the recipe's own, as a PNG file."""
        from tl_toolkit.report.learning_rate_plot import plot_learning_rates

        plot_learning_rates(
            self.rates,
            self.losses,
            self.smoothed,
            self.suggestion,
            self.default,
            pathlib.Path(path),
        )


def find_learning_rate(
    recipe: Recipe,
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    context: Context | None = None,
) -> LearningRates:
    """Trains a recipe for some steps while the learning rate rises exponentially, and says where the loss falls fastest.

    The batches, the augmentation, the optimizer, the freeze plan, batch normalisation's modes, the precision and the
    devices are those of the recipe's training; features of frozen layers are computed and cached as there. Epochs are
    begun anew where the data are small. It stops when the smoothed loss is over 4 times its lowest.

    The suggestion is the rate at which the smoothed loss falls most steeply over the logarithm of the rate (fastai's
    `steep`), before its minimum: a peak for the schedule of `run`, which warms up to it and decays to 0.

    A pure function: it trains a network of its own, so that no model, optimizer, generator or run folder of the
    caller's changes, and `context.networks` are left alone. Only the cache of features may grow.

    Args:
        recipe: What would be trained; its `learning_rate` is not used, and no test image is read.
        lowest: The first learning rate.
        highest: The last one.
        steps: Batches, at least 20.
        context: As for `train_and_validate`; its checkpoints, callbacks and networks are not used.

    Returns:
        The curve, and the suggestion, None with the reason where the curve is flat or noisy.

    Raises:
        InputError: The recipe's head is solved for, which has no learning rate; or the recipe, the data, the weights or
            the rates are not right.

    Reference: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.

    Examples:
        >>> recipe = tl.Recipe(data="digits", strategy=tl.NewHead(solver="gradient"), labels_per_class=10)
        >>> curve = tl.find_learning_rate(recipe, steps=30)
        >>> curve.suggestion is None or 1e-6 < curve.suggestion < 1
        True
    """
    _check(recipe, lowest, highest, steps)
    context = dataclasses.replace(context or Context(), networks=None, checkpoints=None)
    processes = ProcessGroup(context.devices(recipe))
    with precision_scope(recipe.precision), explain_lost_workers(processes):
        experiment = prepare(recipe, context)
        rates, losses = _measure(experiment, context, processes, (lowest, highest), steps)
    smoothed = smoothed_losses(losses)
    suggestion, reason = suggest_learning_rate(rates, smoothed, losses)
    return LearningRates(
        rates, losses, smoothed, suggestion, reason, experiment.hyperparameters.learning_rate
    )


def _check(recipe: Recipe, lowest: float, highest: float, steps: int) -> None:
    if recipe.solver == LBFGS:
        raise InputError(
            "This recipe's head is solved for, not trained by steps: there is no learning rate to find. "
            "solver='gradient' trains it by steps (--solver gradient)."
        )
    if recipe.unfreeze_epochs is not None:
        raise InputError(
            "With `unfreeze_epochs` hardly more than the head would move while the rate rises: find a rate without it."
        )
    if not 0 < lowest < highest < math.inf:
        raise InputError(
            f"`lowest` and `highest` must be 0 < lowest < highest. Received: {lowest:g} and {highest:g}"
        )
    if steps < FEWEST_STEPS:
        raise InputError(f"`steps` must be at least {FEWEST_STEPS}. Received: {steps}")


def _measure(
    experiment: Experiment,
    context: Context,
    processes: ProcessGroup,
    between: tuple[float, float],
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Trains step by step; returns the rates and the losses up to where they are too high or not finite."""
    distribute = context.devices(experiment.recipe)
    if getattr(experiment.recipe.strategy, "head_first", False):
        start_from_solved_head(experiment, context, processes)
    source, _ = open_batch_source(experiment, context, processes)
    with contextlib.closing(source):
        hyperparameters = experiment.hyperparameters
        with distribute.scope():
            optimizer = make_optimizer(experiment.model, hyperparameters)
            optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(
                between[0], steps - 1, between[1] / between[0]
            )
        step = TrainingStep(
            source.model,
            optimizer,
            hyperparameters.label_smoothing,
            distribute,
            source.signature,
            several=experiment.dataset.has_several_labels,
        )
        batches = iter(
            distributed_batches(_long_enough(experiment, steps), source, distribute, 0, 0)
        )
        rates: list[float] = []
        losses: list[float] = []
        with context.progress.stage("Raising the learning rate", total=steps) as stage:
            for _ in range(steps):
                rate, loss = float(optimizer.learning_rate), step(next(batches)).loss
                if not math.isfinite(loss):
                    break
                rates.append(rate)
                losses.append(loss)
                stage.advance()
                smoothed = smoothed_losses(np.array(losses))
                if smoothed[-1] > DIVERGED * smoothed.min():
                    break
    if not losses:
        raise InputError(
            "The loss is not finite before anything was trained: the weights hold numbers that are not finite, or are "
            "not those of this network."
        )
    return np.array(rates, np.float64), np.array(losses, np.float64)


def _long_enough(experiment: Experiment, steps: int) -> Experiment:
    """The same batches as in the training, in as many epochs as are needed."""
    hyperparameters = experiment.hyperparameters
    epochs = max(hyperparameters.epochs, -(-steps // hyperparameters.steps_per_epoch))
    return dataclasses.replace(
        experiment, hyperparameters=dataclasses.replace(hyperparameters, epochs=epochs)
    )
