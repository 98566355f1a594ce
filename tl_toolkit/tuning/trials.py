"""What is known of a trial when it has ended: a file each, which every worker of a search can read."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import pathlib
import statistics
from typing import Any

from tl_toolkit.recipe import Recipe

COMPLETED, INFEASIBLE, DIVERGED = "completed", "infeasible", "diverged"
OBJECTIVES = {"val_top1": "max", "val_balanced_accuracy": "max", "val_loss": "min"}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One point of the space, tried.

    Attributes:
        number: From 0, in the order of the starts.
        recipe: To run it again with.
        axes: Names of what the search varied.
        status: `"completed"`; `"infeasible"`, where memory did not suffice; or `"diverged"`.
        executions: Validation figures of each execution, which differ in the seed.
        seconds: Of training, over all executions.
        message: What went wrong.
    """

    number: int
    recipe: Recipe
    axes: tuple[str, ...]
    status: str
    executions: tuple[dict[str, float], ...] = ()
    seconds: float = 0.0
    message: str = ""

    @property
    def figures(self) -> dict[str, float]:
        """Means over the executions; empty where the trial did not end well."""
        names = self.executions[0] if self.executions else ()
        return {name: statistics.fmean(run[name] for run in self.executions) for name in names}

    def value_of(self, axis: str) -> Any:
        """What the trial's recipe says on an axis; None where its strategy has no such option."""
        if axis == "strategy":
            return self.recipe.strategy.name
        if hasattr(self.recipe, axis):
            return getattr(self.recipe, axis)
        return getattr(self.recipe.strategy, axis, None)

    def rank(self, objective: str) -> tuple[float, float]:
        """Larger is better: the objective, and among equals the log loss."""
        sign = 1 if OBJECTIVES[objective] == "max" else -1
        return sign * self.figures[objective], -self.figures["val_loss"]


def write_trial(trial: Trial, folder: pathlib.Path) -> None:
    """Writes the trial's file whole."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {f.name: getattr(trial, f.name) for f in dataclasses.fields(trial)}
    part = folder / f"{trial.number}.part"
    part.write_text(json.dumps(values | {"recipe": trial.recipe.to_json()}, indent=2) + "\n")
    os.replace(part, folder / f"{trial.number}.json")


def read_trials(folder: pathlib.Path) -> list[Trial]:
    """Returns the trials that have ended, in the order of their numbers."""
    trials = []
    for path in folder.glob("*.json"):
        values = json.loads(path.read_bytes())
        for name in ("axes", "executions"):
            values[name] = tuple(values[name])
        trials.append(Trial(**values | {"recipe": Recipe.from_json(values["recipe"])}))
    return sorted(trials, key=lambda trial: trial.number)


def best_trial(trials: list[Trial], objective: str) -> Trial | None:
    """Returns the best of the completed ones; None without any."""
    completed = [trial for trial in trials if trial.status == COMPLETED]
    return max(completed, key=lambda trial: trial.rank(objective), default=None)


def smallest_infeasible_batch(trials: list[Trial]) -> int | None:
    """Returns the smallest batch size for which memory did not suffice, where there was one."""
    sizes = [trial.recipe.batch_size for trial in trials if trial.status == INFEASIBLE]
    return min(sizes, default=None)


def write_table(trials: list[Trial], path: pathlib.Path) -> None:
    """Writes `trials.csv`: number, status, axes with the actual values, figures, seconds."""
    axes = list(trials[0].axes)
    head = ["trial", "status", *axes, *OBJECTIVES, "executions", "seconds", "message"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for trial in trials:
            values = [trial.value_of(axis) for axis in axes]
            figures = [trial.figures.get(name, "") for name in OBJECTIVES]
            count = len(trial.executions)
            message = trial.message.splitlines()[0] if trial.message else ""
            writer.writerow(
                [trial.number, trial.status, *values, *figures, count, trial.seconds, message]
            )
