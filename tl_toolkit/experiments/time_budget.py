"""What strategy `"auto"` decides by time: for how many epochs each rung is trained, and when it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.selection import Candidate, Selection
from tl_toolkit.experiments.time_rung import ExpectedTime, time_rung
from tl_toolkit.files.checked_json import read_checked_json, write_checked_json
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import Auto

FILE = "time_budget.json"
TIMING = "timing"  # begins what is written down of it
SHARE_OF_TIMING = 0.25  # of the budget; what is not timed by then is left out


class TimeBudget:
    """What a climb decides by time, which a climb that is resumed has to decide alike; all processes agree on it.

    Attributes:
        expected: What each rung takes, by its name.

    Args:
        recipe: Its strategy says how long the climb may take.
        context: Where it is kept.
    """

    def __init__(self, recipe: Recipe, context: Context) -> None:
        strategy = recipe.strategy
        minutes = strategy.minutes if isinstance(strategy, Auto) else None
        self._budget = None if minutes is None else 60.0 * minutes
        self._processes = ProcessGroup(context.devices(recipe))
        self._path = context.checkpoints and context.checkpoints / FILE
        self.expected: dict[str, ExpectedTime] = {}
        self._epochs: dict[str, int | None] = {}
        self._spent: dict[str, float] = {}
        text = self._processes.broadcast_text(self._kept())
        if text:
            self._take(json.loads(text))

    def time(self, name: str, recipe: Recipe, context: Context) -> None:
        """Times a rung, unless it was timed before, or timing the ones before it took its share of the budget.

        The first one always is: it is trained whatever it takes.
        """
        if name in self.expected or (self.expected and self._has_timed_enough()):
            return
        with self.spent_on(f"{TIMING} {name}"), context.progress.stage(f"Timing: {name}"):
            self.expected[name] = time_rung(recipe, context)
        self._agree()

    def expect_alike(self, name: str, other: str) -> None:
        """Takes the time of another rung for one whose network and images are as large; none where that was not timed."""
        if other in self.expected and name not in self.expected:
            self.expected[name] = self.expected[other]
            self._agree()

    def _has_timed_enough(self) -> bool:
        # From what was written down, so that a climb that is resumed leaves out the same.
        spent = sum(s for name, s in self._spent.items() if name.startswith(TIMING))
        return self._budget is not None and spent >= SHARE_OF_TIMING * self._budget

    def seconds(self, name: str, selection: Selection) -> float | None:
        """Expected of all trainings of a rung; None of one that was not timed."""
        expected = self.expected.get(name)
        if expected is None:
            return None
        return expected.seconds * (selection.trainings if expected.epochs else 1)

    def epochs(self, name: str, selection: Selection, is_first: bool) -> int | None:
        """For how many epochs a rung is trained; None: it is left out."""
        if name not in self.expected:
            return None
        if name not in self._epochs:
            expected = self.expected[name]
            epochs: int | None = expected.epochs
            if self._budget is not None and not is_first:
                left = self._budget - sum(self._spent.values())
                trainings = selection.trainings if expected.epochs else 1
                epochs = expected.epochs_within(left / trainings)
            self._epochs[name] = epochs
            self._agree()
        return self._epochs[name]

    def agreed(self, found: Candidate) -> Candidate:
        """Returns what was found with the chief's figures, by which all processes decide alike."""
        losses = None if found.losses is None else found.losses.tolist()
        figures = [found.top1, found.log_loss, losses] if self._processes.is_chief else None
        top1, log_loss, losses = json.loads(self._processes.broadcast_text(json.dumps(figures)))
        losses = None if losses is None else np.array(losses, np.float64)
        return dataclasses.replace(found, top1=top1, log_loss=log_loss, losses=losses)

    def watched(self, context: Context, selection: Selection) -> Context:
        """Returns the context of a training that ends with the time, where validation images select its weights."""
        if self._budget is None or selection.folds is not None:
            return context
        left = self._budget - sum(self._spent.values())
        stop = StopInTime(time.monotonic() + left)
        return dataclasses.replace(context, callbacks=(*context.callbacks, stop))

    @contextlib.contextmanager
    def spent_on(self, name: str) -> Iterator[None]:
        """Counts the time of the block."""
        started, before = time.monotonic(), self._spent.get(name, 0.0)
        try:
            yield
        finally:
            self._spent[name] = before + time.monotonic() - started
            self._keep()

    def _kept(self) -> str:
        if self._path is None or not self._processes.is_chief:
            return ""
        try:
            return json.dumps(read_checked_json(pathlib.Path(self._path)))
        except (OSError, ValueError):  # none yet, or damaged: it is decided anew
            return ""

    def _take(self, values: dict[str, Any]) -> None:
        self.expected = {name: ExpectedTime(**e) for name, e in values["expected"].items()}
        self._epochs, self._spent = values["epochs"], values["spent"]

    def _plain(self) -> dict[str, Any]:
        expected = {name: dataclasses.asdict(e) for name, e in self.expected.items()}
        return {"expected": expected, "epochs": self._epochs, "spent": self._spent}

    def _agree(self) -> None:
        """Takes what the chief found and decided."""
        chief = self._processes.is_chief
        text = self._processes.broadcast_text(json.dumps(self._plain()) if chief else "")
        self._take(json.loads(text))
        self._keep()

    def _keep(self) -> None:
        if self._path is not None and self._processes.is_chief:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_checked_json(self._path, self._plain())


class StopInTime(keras.callbacks.Callback):
    """Ends a training after the last epoch that another one would still fit behind.

    Args:
        until: On `time.monotonic`'s clock.
    """

    def __init__(self, until: float) -> None:
        super().__init__()
        self._until, self._started = until, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Takes the time."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stops where the next epoch would end too late."""
        now = time.monotonic()
        if now + (now - self._started) > self._until:
            self.model.stop_training = True
