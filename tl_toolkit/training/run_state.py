"""What a run keeps of itself while it trains: where it is, its newest state, and its best weights."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.errors import InputError
from tl_toolkit.training.checkpoints import Checkpoints

START = -1  # the epoch of the weights that training began with
# A checkpoint is written no more often than makes it this share of the time.
LARGEST_SHARE = 0.05


@dataclasses.dataclass
class TrainingProgress:
    """How far a run is: what a checkpoint holds in addition to the variables. Plain JSON values.

    Attributes:
        epoch: The running one, from 0.
        step: Steps done in it.
        running: Sums over the examples of the running epoch: loss, correct ones, examples.
        history: One dict of figures for each epoch done.
        best_epoch: Whose weights are kept; `START`: those before the first one; None without validation.
        best_score: Its validation score, higher is better, compared from the left.
        seconds: Time spent in training and validation, over all starts.
        stopped: Whether a callback ended the run before its last epoch.
        notes: What the user should know of the way here.
    """

    epoch: int = 0
    step: int = 0
    running: list[float] = dataclasses.field(default_factory=lambda: [0.0, 0.0, 0.0])
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_epoch: int | None = None
    best_score: list[float] | None = None
    seconds: float = 0.0
    stopped: bool = False
    notes: list[str] = dataclasses.field(default_factory=list)


class RunState:
    """The newest state, and the best weights in it: one checkpoint holds both, or they would part.

    Every process has the best weights; the chief alone reads and writes checkpoints.

    Args:
        folder: For checkpoints; None: none are written.
        moving_variables: Every variable of the model that training may change.
        other_variables: Those of the step.
        keeps_best: Whether there are best weights, which take as much memory as the moving variables.
        identity: Values that must match before resuming, such as the recipe.
        seconds: Least time between two checkpoints.
        processes: Those of the run.
    """

    def __init__(
        self,
        folder: pathlib.Path | None,
        moving_variables: Sequence,
        other_variables: Sequence,
        keeps_best: bool,
        identity: dict[str, Any],
        seconds: float,
        processes: ProcessGroup,
    ) -> None:
        self._folder = folder
        self._moving_variables = moving_variables
        with tf.device("CPU"):
            self._best = [_copy(variable) for variable in moving_variables if keeps_best]
        self._all_variables = [*moving_variables, *other_variables, *self._best]
        self._identity = identity
        self._processes = processes
        self._seconds = self._seconds_until_due = seconds
        self._saved_at = time.monotonic()
        self._checkpoints: Checkpoints | None = None  # of the chief alone
        if folder is not None and processes.is_chief:
            self._checkpoints = Checkpoints(folder, self._all_variables)

    def resume(self) -> TrainingProgress:
        """Restores the newest state, on all processes; the first step where there is none."""
        progress = self._read(self._checkpoints) if self._checkpoints is not None else None
        text = json.dumps(dataclasses.asdict(progress)) if progress is not None else ""
        text = self._processes.broadcast_text(text)
        if not text:
            return TrainingProgress()
        self._processes.broadcast_variables(self._all_variables)
        return TrainingProgress(**json.loads(text))

    def _read(self, checkpoints: Checkpoints) -> TrainingProgress | None:
        # Its plain values first: another run's variables may have other shapes.
        state = checkpoints.read_plain()
        if state is None:
            return None
        different = [
            key for key in self._identity if state["identity"].get(key) != self._identity[key]
        ]
        if different:
            raise InputError(
                f"{str(self._folder)!r} holds the checkpoint of another run: it differs in "
                f"{', '.join(different)}. Remove the folder, or choose another output."
            )
        state = checkpoints.restore() or state
        del state["identity"]
        notes = [
            f"the checkpoint {name!r} could not be read: resumed from the one before it"
            for name in checkpoints.damaged
        ]
        return TrainingProgress(**{**state, "notes": [*state.get("notes", ()), *notes]})

    def save(self, progress: TrainingProgress, steps_done: int) -> None:
        """Saves the newest state."""
        if self._checkpoints is None:
            return
        started = time.monotonic()
        self._checkpoints.save(
            {**dataclasses.asdict(progress), "identity": self._identity}, steps_done
        )
        self._saved_at = time.monotonic()
        if self._seconds > 0:  # 0: whenever it can
            cost = self._saved_at - started
            self._seconds_until_due = max(self._seconds, cost / LARGEST_SHARE)

    def save_if_due(self, progress: TrainingProgress, steps_done: int) -> None:
        """Saves it where the last time is long enough ago."""
        if time.monotonic() - self._saved_at >= self._seconds_until_due:
            self.save(progress, steps_done)

    @property
    def what_is_kept(self) -> str:
        """For the message of a run that is stopped."""
        return "nothing is kept" if self._folder is None else "the same call resumes from there"

    def keep_best(self) -> None:
        """Keeps the weights as they are as the best ones."""
        for best, variable in zip(self._best, self._moving_variables, strict=True):
            best.assign(variable.numpy())

    def restore_best(self) -> None:
        """Gives the model its best weights."""
        for best, variable in zip(self._best, self._moving_variables, strict=True):
            variable.assign(best.numpy())


def _copy(variable: keras.Variable) -> keras.Variable:
    return keras.Variable(variable.numpy(), dtype=variable.dtype, trainable=False)
