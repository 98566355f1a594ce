"""The step loop: epochs, validation, the best weights, checkpoints, and the ways in which a run ends."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_toolkit.errors import InputError
from tl_toolkit.training.checkpoints import Checkpoints
from tl_toolkit.training.step import TrainingStep


class DivergedError(InputError):
    """The loss is no longer a number."""


class StoppedError(KeyboardInterrupt):
    """Ctrl-C stopped the run after a step; where there is a folder, the checkpoint is written."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a run is, and how it is watched.

    Attributes:
        epochs: Where it ends.
        steps_per_epoch: Batches of an epoch.
        patience: Epochs without a better validation before it stops; None: never.
        checkpoint_seconds: Least time between two checkpoints; they are written between epochs.
    """

    epochs: int
    steps_per_epoch: int
    patience: int | None = None
    checkpoint_seconds: float = 10.0


@dataclasses.dataclass
class Progress:
    """Where a run is: what a checkpoint remembers beside the variables. Plain JSON values.

    Attributes:
        epoch: The running one, from 0.
        step: Steps done in it.
        history: One dict of figures for each epoch done.
        best_epoch: Whose weights are kept; None without validation.
        best_score: Its validation score, higher is better, compared from the left.
        seconds: Time spent in training and validation, over all starts.
        stopped: Whether a callback ended the run before its last epoch.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_epoch: int | None = None
    best_score: list[float] | None = None
    seconds: float = 0.0
    stopped: bool = False


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
) -> Progress:
    """Trains to the end, or on from the newest checkpoint in `folder`.

    Args:
        model: The model; afterwards it holds the best weights, or the last ones without validation.
        step: Trains on one batch.
        optimizer: The one of the step.
        moving_variables: Every variable of the model that training may change.
        batches_from: From (epoch, step) to all batches from there on.
        schedule: How long.
        validate: Returns an epoch's validation figures and its score; None: no validation.
        folder: For checkpoints; None: none are written.
        identity: What must be equal for a checkpoint to be gone on from, such as the recipe.
        callbacks: Keras callbacks; `model.stop_training` is heeded.

    Raises:
        DivergedError: The loss is not finite.
        StoppedError: Ctrl-C.
        InputError: The folder holds another run's checkpoints.
    """
    memory = _Memory(
        folder, moving_variables, [*optimizer.variables, *step.metric_variables], identity
    )
    progress = memory.resume() or Progress()
    hooks = keras.callbacks.CallbackList(list(callbacks), model=model)
    hooks.set_params({"epochs": schedule.epochs, "steps": schedule.steps_per_epoch, "verbose": 0})
    model.stop_training = False
    hooks.on_train_begin({"epochs_done": progress.epoch})
    batches = iter(batches_from(progress.epoch, progress.step))
    last_saved = time.monotonic()
    with _stops_on_interrupt() as interrupted:
        while not _is_over(progress, schedule):
            started = time.monotonic()
            hooks.on_epoch_begin(progress.epoch)
            _train_epoch(step, batches, progress, schedule, hooks, interrupted)
            if interrupted():
                progress.seconds += time.monotonic() - started
                memory.save(progress, schedule)
                raise memory.stopped(f"after step {progress.step} of epoch {progress.epoch + 1}")
            figures = {
                "epoch": progress.epoch + 1,
                "loss": float(step.loss.result()),
                "top1": float(step.top1.result()),
            }
            if validate is not None:
                validation, score = validate()
                figures.update(validation)
                if progress.best_score is None or score > progress.best_score:
                    progress.best_epoch, progress.best_score = progress.epoch, score
                    memory.save_best(progress.epoch)
            figures["learning_rate"] = float(optimizer.learning_rate)
            progress.history.append(figures)
            hooks.on_epoch_end(progress.epoch, figures)
            progress.epoch, progress.step = progress.epoch + 1, 0
            progress.seconds += time.monotonic() - started
            progress.stopped = bool(model.stop_training)
            due = time.monotonic() - last_saved >= schedule.checkpoint_seconds
            if due or _is_over(progress, schedule) or interrupted():
                memory.save(progress, schedule)
                last_saved = time.monotonic()
            if interrupted():
                raise memory.stopped(f"after epoch {progress.epoch}")
    if progress.best_epoch is not None:
        memory.restore_best()
    hooks.on_train_end()
    return progress


def _train_epoch(
    step: TrainingStep,
    batches: Iterator,
    progress: Progress,
    schedule: Schedule,
    hooks: keras.callbacks.CallbackList,
    interrupted: Callable[[], bool],
) -> None:
    """Trains to the end of the epoch, or until after the step in which it was interrupted."""
    if progress.step == 0:
        step.reset_metrics()
    while progress.step < schedule.steps_per_epoch:
        hooks.on_train_batch_begin(progress.step)
        loss = step(next(batches))
        _check_finite(loss, progress, schedule)
        hooks.on_train_batch_end(progress.step, {"loss": loss})
        progress.step += 1
        if interrupted():
            return


class _Memory:
    """What a run keeps of itself: the newest state, and the best weights.

    With a folder both are checkpoints; without one the best weights are held in memory.
    """

    def __init__(
        self,
        folder: pathlib.Path | None,
        moving_variables: Sequence,
        other_variables: Sequence,
        identity: dict[str, Any],
    ) -> None:
        self._folder = folder
        self._moving_variables = moving_variables
        self._identity = identity
        self._best_values: list | None = None
        if folder is not None:
            self._newest = Checkpoints(folder / "newest", [*moving_variables, *other_variables])
            self._best = Checkpoints(folder / "best", moving_variables, keep=1)

    def resume(self) -> Progress | None:
        """Restores the newest state; None where there is none."""
        # Its plain values first: another run's variables may have other shapes.
        state = self._newest.read_plain() if self._folder is not None else None
        if state is None:
            return None
        theirs = state.pop("identity")
        different = [key for key in self._identity if theirs.get(key) != self._identity[key]]
        if different:
            raise InputError(
                f"{str(self._folder)!r} holds the checkpoint of another run: it differs in "
                f"{', '.join(different)}. Remove the folder, or choose another output."
            )
        self._newest.restore()
        return Progress(**state)

    def save(self, progress: Progress, schedule: Schedule) -> None:
        if self._folder is not None:
            number = progress.epoch * schedule.steps_per_epoch + progress.step
            self._newest.save({**dataclasses.asdict(progress), "identity": self._identity}, number)

    def stopped(self, where: str) -> StoppedError:
        kept = "the same call goes on from there" if self._folder is not None else "nothing is kept"
        return StoppedError(f"stopped {where}; {kept}")

    def save_best(self, epoch: int) -> None:
        if self._folder is not None:
            self._best.save({"epoch": epoch}, epoch)
        else:
            self._best_values = [variable.numpy() for variable in self._moving_variables]

    def restore_best(self) -> None:
        if self._folder is None:
            for variable, value in zip(self._moving_variables, self._best_values, strict=True):
                variable.assign(value)
        elif self._best.restore() is None:
            raise InputError(
                f"The best weights are missing from {str(self._folder)!r}: remove the folder and start "
                "again."
            )


def _is_over(progress: Progress, schedule: Schedule) -> bool:
    if progress.stopped or progress.epoch >= schedule.epochs:
        return True
    if schedule.patience is None or progress.best_epoch is None:
        return False
    return progress.epoch - 1 - progress.best_epoch >= schedule.patience


def _check_finite(loss: float, progress: Progress, schedule: Schedule) -> None:
    if math.isfinite(loss):
        return
    done = progress.epoch * schedule.steps_per_epoch + progress.step
    where = f"The loss is {loss} at step {done + 1} (epoch {progress.epoch + 1})"
    if done == 0:
        raise DivergedError(
            f"{where}, before anything was trained: the weights hold numbers that are not finite, or "
            "are not those of this network."
        )
    raise DivergedError(f"{where}: the learning rate is most likely too high. Try a third of it.")


@contextlib.contextmanager
def _stops_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C is noted, and the second one interrupts as ever."""
    noted = []

    def note(signum, frame):
        if noted:
            raise KeyboardInterrupt
        noted.append(signum)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: signals are somebody else's
        yield lambda: False
        return
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)
