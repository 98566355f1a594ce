"""The step loop: epochs, validation, the best weights, checkpoints, and the ways in which a run ends."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import keras
import tensorflow as tf

from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.errors import InputError, PreemptedError, StoppedError
from tl_toolkit.training.run_state import START, RunState, TrainingProgress
from tl_toolkit.training.step import StepResult, TrainingStep


class DivergedError(InputError):
    """The loss is not finite."""


# What a process may be asked to stop by, in the order in which a step tells the others.
STOPS = {signal.SIGINT: StoppedError, signal.SIGTERM: PreemptedError}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a run is, and how it is watched.

    Attributes:
        epochs: Where it ends.
        steps_per_epoch: Batches of an epoch.
        patience: Epochs without a better validation before it stops; None: never.
        checkpoint_seconds: Least time between two checkpoints; longer where writing one takes long.
        checkpoint_at_end: Whether the end is saved too, however recent the checkpoint before it is.
        start_counts: Whether the weights that training begins with are validated too, and kept where no epoch is better.
    """

    epochs: int
    steps_per_epoch: int
    patience: int | None = None
    checkpoint_seconds: float = 10.0
    checkpoint_at_end: bool = True
    start_counts: bool = False


def train(
    model: keras.Model,
    step: TrainingStep,
    optimizer: keras.optimizers.Optimizer,
    moving_variables: Sequence,
    batches_from: Callable[[int, int], tf.data.Dataset],
    schedule: Schedule,
    validate: Callable[[], tuple[dict[str, float], list[float]]] | None,
    folder: pathlib.Path | None,
    identity: dict[str, Any],
    callbacks: Sequence[keras.callbacks.Callback] = (),
    processes: ProcessGroup | None = None,
) -> TrainingProgress:
    """Trains to the end, from the newest checkpoint in `folder` if there is one.

    Args:
        model: The model; afterwards it holds the best weights, or the last ones without validation; of the
            step's average, where it keeps one.
        step: Trains on one batch.
        optimizer: The one of the step.
        moving_variables: Every variable of the model that training may change.
        batches_from: From (epoch, step) to all batches from there on.
        schedule: How long.
        validate: Returns an epoch's validation figures and its score; None: no validation.
        folder: For checkpoints; None: none are written.
        identity: Values that must match before resuming, such as the recipe.
        callbacks: Keras callbacks; `model.stop_training` is heeded. They see the weights, never their average.
        processes: Those that train the same model in step; None: this one alone.

    Raises:
        DivergedError: The loss is not finite.
        StoppedError: Ctrl-C.
        PreemptedError: SIGTERM.
        InputError: The folder holds another run's checkpoints.
    """
    processes = processes or ProcessGroup(tf.distribute.get_strategy())
    alone = processes.count == 1
    state = RunState(
        folder,
        moving_variables,
        step.state,
        validate is not None,
        identity,
        schedule.checkpoint_seconds,
        processes,
    )
    progress = state.resume()
    is_new = not (progress.epoch or progress.step)
    if schedule.start_counts and validate is not None and is_new:
        _, progress.best_score = validate()
        progress.best_epoch = START
        state.keep_best()
    hooks = keras.callbacks.CallbackList(list(callbacks), model=model)
    hooks.set_params({"epochs": schedule.epochs, "steps": schedule.steps_per_epoch, "verbose": 0})
    model.stop_training = False
    hooks.on_train_begin({"epochs_done": progress.epoch})
    batches = iter(batches_from(progress.epoch, progress.step))
    lap = _stopwatch()
    with _noted_signals() as noted:
        while not _is_over(progress, schedule):
            hooks.on_epoch_begin(progress.epoch)
            while progress.step < schedule.steps_per_epoch:
                hooks.on_train_batch_begin(progress.step)
                result = step(next(batches), noted())
                _check_finite(result.loss, progress, schedule)
                hooks.on_train_batch_end(progress.step, {"loss": result.loss})
                _count(result, progress)
                progress.seconds += lap()
                # Several processes learn of a signal from a step that began after it: all stop after the same.
                asked = noted() if alone else result.stop
                _stop_if_asked(asked, state, progress, schedule, processes)
                if progress.step < schedule.steps_per_epoch:
                    state.save_if_due(progress, _steps_done(progress, schedule))
            _end_epoch(step, optimizer, validate, state, hooks, progress)
            progress.stopped = not processes.all_agree(not model.stop_training)
            progress.seconds += lap()
            if _is_over(progress, schedule) and schedule.checkpoint_at_end:
                state.save(progress, _steps_done(progress, schedule))
            else:
                state.save_if_due(progress, _steps_done(progress, schedule))
            if alone or _is_over(progress, schedule):  # the next step would tell the others
                asked = tuple(not processes.all_agree(not one) for one in noted())
                _stop_if_asked(asked, state, progress, schedule, processes)
    if progress.best_epoch is not None:
        state.restore_best()
    elif step.average is not None:
        step.average.give()
    hooks.on_train_end()
    return progress


def _count(result: StepResult, progress: TrainingProgress) -> None:
    """Takes a step into account."""
    figures = (result.loss_sum, result.correct, result.examples)
    progress.running = [sum(pair) for pair in zip(progress.running, figures, strict=True)]
    progress.step += 1


def _end_epoch(
    step: TrainingStep,
    optimizer: keras.optimizers.Optimizer,
    validate: Callable[[], tuple[dict[str, float], list[float]]] | None,
    state: RunState,
    hooks: keras.callbacks.CallbackList,
    progress: TrainingProgress,
) -> None:
    """Validates, keeps the weights if they are the best, and writes the epoch down."""
    loss_sum, correct, examples = progress.running
    figures = {
        "epoch": progress.epoch + 1,
        "loss": loss_sum / examples,
        step.accuracy: correct / examples,
    }
    if validate is not None:
        with step.average.in_place() if step.average is not None else contextlib.nullcontext():
            validation, score = validate()
            figures.update(validation)
            if progress.best_score is None or score > progress.best_score:
                progress.best_epoch, progress.best_score = progress.epoch, score
                state.keep_best()
    figures["learning_rate"] = float(optimizer.learning_rate)
    progress.history.append(figures)
    hooks.on_epoch_end(progress.epoch, figures)
    progress.epoch, progress.step, progress.running = progress.epoch + 1, 0, [0.0, 0.0, 0.0]


def _stop_if_asked(
    asked: tuple[bool, ...],
    state: RunState,
    progress: TrainingProgress,
    schedule: Schedule,
    processes: ProcessGroup,
) -> None:
    """Writes a checkpoint and raises, where one of `STOPS` was asked for."""
    for error, is_asked in zip(STOPS.values(), asked, strict=True):
        if is_asked:
            state.save(progress, _steps_done(progress, schedule))
            processes.barrier()  # the end of one may be the end of all
            where = f"epoch {progress.epoch}"
            if progress.step:
                where = f"step {progress.step} of epoch {progress.epoch + 1}"
            raise error(f"stopped after {where}; {state.what_is_kept}")


def _steps_done(progress: TrainingProgress, schedule: Schedule) -> int:
    return progress.epoch * schedule.steps_per_epoch + progress.step


def _stopwatch() -> Callable[[], float]:
    """Returns a function that gives the seconds since it was called last."""
    last = time.monotonic()

    def lap() -> float:
        nonlocal last
        now = time.monotonic()
        seconds, last = now - last, now
        return seconds

    return lap


def _is_over(progress: TrainingProgress, schedule: Schedule) -> bool:
    if progress.stopped or progress.epoch >= schedule.epochs:
        return True
    if schedule.patience is None or progress.best_epoch is None:
        return False
    return progress.epoch - 1 - progress.best_epoch >= schedule.patience


def _check_finite(loss: float, progress: TrainingProgress, schedule: Schedule) -> None:
    if math.isfinite(loss):
        return
    done = _steps_done(progress, schedule)
    where = f"The loss is {loss} at step {done + 1} (epoch {progress.epoch + 1})"
    if done == 0:
        raise DivergedError(
            f"{where}, before anything was trained: the weights hold numbers that are not finite, or "
            "are not those of this network."
        )
    raise DivergedError(f"{where}: the learning rate is most likely too high. Try a third of it.")


@contextlib.contextmanager
def _noted_signals() -> Iterator[Callable[[], tuple[bool, ...]]]:
    """Within it Ctrl-C and SIGTERM are noted; a second Ctrl-C interrupts as ever.

    Yields:
        Which of `STOPS` were noted.
    """
    noted = set()

    def note(signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and signum in noted:
            raise KeyboardInterrupt
        noted.add(signum)

    before = {}
    try:
        for signum in STOPS:
            before[signum] = signal.signal(signum, note)
    except ValueError:  # not the main thread: signals are somebody else's
        yield lambda: (False,) * len(STOPS)
        return
    try:
        yield lambda: tuple(signum in noted for signum in STOPS)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
