"""A recipe's training: selects weights by validation images, and never reads a test image."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import GRADIENT, LBFGS
from tl_toolkit.devices.process_group import ProcessGroup, explain_lost_workers
from tl_toolkit.devices.strategy import describe_devices
from tl_toolkit.experiments.batch_source import (
    BatchSource,
    distributed_batches,
    open_batch_source,
)
from tl_toolkit.experiments.calibrate import Calibration, calibrate
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.figures import figures_of, figures_of_epoch
from tl_toolkit.experiments.identity import check_all_train_the_same, run_identity
from tl_toolkit.experiments.pin_file import read_pin, write_pin
from tl_toolkit.experiments.prepare import Experiment, prepare
from tl_toolkit.experiments.solve_new_head import solve_new_head, start_from_solved_head
from tl_toolkit.progress import Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import NewHead
from tl_toolkit.training.loop import Schedule, train
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.precision import precision_scope
from tl_toolkit.training.report import ReportTraining
from tl_toolkit.training.run_state import START, RunState, TrainingProgress
from tl_toolkit.training.step import TrainingStep
from tl_toolkit.training.weight_average import WeightAverage
from tl_toolkit.transfer.feature_room import NoRoomError
from tl_toolkit.transfer.plan import STATE, TRAINED, UPDATED, fingerprints, verify_plan
from tl_toolkit.transfer.solved_head import SolvedHead

BY_STEPS = "by_steps"  # checkpoints of a new head that was to be solved for
NO_EPOCH_WAS_BETTER = (
    "no epoch was better in validation than the network with its solved head, which training began with: that is kept, and "
    "`--strategy new-head` gives as much in less time"
)


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A training's result, selected by validation images alone.

    Attributes:
        experiment: What was trained.
        progress: History, best epoch, time.
        validation: `classification_metrics` on the validation images, before the logits are divided; None where
            there are none. Of several labels `label_metrics`, each given from probability 0.5 on.
        verified: Variables that were compared, bit by bit, with what they were before.
        devices: What it was trained on, and how a batch was shared out.
        calibration: By what its logits were divided in the end.
        validation_logits: float32[n, classes] of the validation images, before they are divided; None where there
            are none.
        solved: How the new head was chosen that was solved for; None after training by steps.
    """

    experiment: Experiment
    progress: TrainingProgress
    validation: dict[str, Any] | None
    verified: int
    devices: str
    calibration: Calibration = dataclasses.field(default_factory=Calibration)
    validation_logits: np.ndarray | None = None
    solved: SolvedHead | None = None

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
    processes = ProcessGroup(context.devices(recipe))
    recipe_file = context.checkpoints / "recipe.json" if context.checkpoints is not None else None
    if recipe_file is not None and context.weights is None:
        context = dataclasses.replace(context, weights=read_pin(recipe_file))
    with precision_scope(recipe.precision), explain_lost_workers(processes):
        experiment = prepare(recipe, context)
        if recipe_file is not None and processes.is_chief:
            write_pin(experiment.weights, recipe_file)
        try:
            return _train(experiment, context, processes)
        except NoRoomError as error:
            # Of a head that is solved for: a training by steps needs no room.
            if not isinstance(recipe.strategy, NewHead) or recipe.strategy.solver is not None:
                raise
            by_steps = dataclasses.replace(recipe.strategy, solver=GRADIENT)
            experiment = prepare(recipe.replace(strategy=by_steps), context)
            note = f"the new head is trained by steps and not solved for: {error.__cause__}"
            experiment = dataclasses.replace(experiment, notes=(*experiment.notes, note))
            # Its own place, or the next start, which tries to solve first, would take them for another run's.
            own = context.checkpoints and context.checkpoints / BY_STEPS
            return _train(experiment, dataclasses.replace(context, checkpoints=own), processes)


def _train(experiment: Experiment, context: Context, processes: ProcessGroup) -> TrainedModel:
    recipe, model, plan = experiment.recipe, experiment.model, experiment.plan
    hyperparameters, distribute = experiment.hyperparameters, context.devices(recipe)
    identity = run_identity(experiment)
    check_all_train_the_same(experiment, identity, processes)
    is_solved = recipe.solver == LBFGS
    devices = describe_devices(distribute, None if is_solved else hyperparameters.batch_size)
    if context.announce_devices:
        context.progress.message(f"Training on {devices}")

    before = fingerprints(model, plan)
    if is_solved:
        # Whatever another training has kept there is refused, not lost.
        RunState(context.checkpoints, [], [], False, identity, 0.0, processes).resume()
        solved, progress, logits, calibration = solve_new_head(experiment, context, processes)
        verified = verify_plan(model, plan, before)
        metrics = _validation_metrics(experiment, logits)
        experiment = dataclasses.replace(experiment, notes=(*experiment.notes, *progress.notes))
        return TrainedModel(
            experiment, progress, metrics, verified, devices, calibration, logits, solved
        )
    started = time.monotonic()
    of_head: tuple[str, ...] = ()
    head_first = getattr(recipe.strategy, "head_first", False)
    if head_first:
        of_head = start_from_solved_head(experiment, context, processes)
    source, notes = open_batch_source(experiment, context, processes)
    seconds_of_features = time.monotonic() - started
    with contextlib.closing(source):
        step = take_step(experiment, source, distribute)
        validation = None
        if source.validation is not None:
            validation = _Validation(experiment, source, source.validation)
        moving = set(plan.paths(TRAINED, UPDATED, STATE))
        with _reported(context.progress, recipe) as report:
            progress = train(
                model,
                step,
                step.optimizer,
                moving_variables=[v for v in model.variables if v.path in moving],
                batches_from=functools.partial(distributed_batches, experiment, source, distribute),
                schedule=Schedule(
                    hyperparameters.epochs,
                    hyperparameters.steps_per_epoch,
                    recipe.patience,
                    context.checkpoint_seconds,
                    context.checkpoint_at_end,
                    start_counts=head_first and not of_head,
                ),
                validate=validation,
                folder=context.checkpoints,
                identity=identity,
                callbacks=(*context.callbacks, report),
                processes=processes,
            )
        progress.seconds += seconds_of_features
        verified = verify_plan(model, plan, before)
        logits, calibration = None, Calibration()
        if validation is not None:
            logits, labels = validation.of_best(progress)
            calibration = calibrate(model, logits, labels, "validation images")
    metrics = _validation_metrics(experiment, logits)
    if progress.best_epoch == START:
        of_head = (NO_EPOCH_WAS_BETTER,)
    notes = (*experiment.notes, *of_head, *notes, *progress.notes)
    experiment = dataclasses.replace(experiment, notes=notes)
    return TrainedModel(experiment, progress, metrics, verified, devices, calibration, logits)


def _validation_metrics(experiment: Experiment, logits: np.ndarray | None) -> dict[str, Any] | None:
    """Of logits before they are divided: afterwards these images would flatter."""
    split = experiment.dataset.validation
    if logits is None or split is None:
        return None
    names = experiment.dataset.class_names
    return figures_of(logits, split.labels, names, experiment.positive)


def take_step(
    experiment: Experiment, source: BatchSource, distribute: tf.distribute.Strategy
) -> TrainingStep:
    """Returns the training step at its start; traced once for trainings that do the same.

    Args:
        experiment: What is trained.
        source: Where its batches come from.
        distribute: What it is trained on.
    """
    hyperparameters, model = experiment.hyperparameters, experiment.model

    def make() -> TrainingStep:
        with distribute.scope():
            optimizer = make_optimizer(model, hyperparameters)
        average = None
        if hyperparameters.ema is not None:
            averaged = set(experiment.plan.paths(TRAINED, UPDATED))
            weights = [variable for variable in model.variables if variable.path in averaged]
            average = WeightAverage(weights, hyperparameters.ema, distribute)
        return TrainingStep(
            source.model,
            optimizer,
            hyperparameters.label_smoothing,
            distribute,
            source.signature,
            average,
            experiment.dataset.has_several_labels,
        )

    # All that is constant in the graph: what moves, batch normalisation's modes, the schedule.
    what = (experiment.recipe.strategy, hyperparameters, experiment.precision, source.signature)
    step = experiment.traced.get(("step", *what), make)
    step.start_again()
    return step


def _reported(progress: Progress, recipe: Recipe) -> ReportTraining:
    return ReportTraining(progress, f"Training {recipe.strategy.name}, seed {recipe.seed}")


class _Validation:
    """An epoch's validation: its figures for the history, and the score that selects weights.

    Args:
        experiment: What is trained.
        source: Where the batches come from.
        batches: The validation images.
    """

    def __init__(self, experiment: Experiment, source: BatchSource, batches: Iterable) -> None:
        self._predict = lambda: source.predict(batches)
        self._class_names = experiment.dataset.class_names
        is_balanced = experiment.recipe.class_balance == "none"
        # Of several labels the loss alone: accuracies hardly see the rare ones.
        self._selected_by = "top1" if is_balanced else "balanced_accuracy"
        self._several = experiment.dataset.has_several_labels
        self._best: tuple[list[float], tuple[np.ndarray, np.ndarray]] | None = None

    def __call__(self) -> tuple[dict[str, float], list[float]]:
        predicted = self._predict()
        metrics = figures_of(*predicted, self._class_names)
        score = [-metrics["log_loss"]]
        if not self._several:
            score.insert(0, metrics[self._selected_by])
        if self._best is None or score > self._best[0]:
            self._best = score, predicted
        return figures_of_epoch(metrics), score

    def of_best(self, progress: TrainingProgress) -> tuple[np.ndarray, np.ndarray]:
        """Logits and labels by the weights that were selected, which the model holds again."""
        if self._best is None or self._best[0] != progress.best_score:  # of a run that was resumed
            return self._predict()
        return self._best[1]
