"""Trials that have ended: a file each, which every worker of a search can read."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import pathlib
import statistics
from typing import Any

from tl_toolkit.errors import InputError
from tl_toolkit.files.atomic import written_aside
from tl_toolkit.files.checked_json import read_checked_json, write_checked_json
from tl_toolkit.recipe import Recipe

COMPLETED, INFEASIBLE, DIVERGED = "completed", "infeasible", "diverged"
# Fields of a recipe that change neither the size of its variables nor that of its activations.
TAKE_NO_MEMORY = ("learning_rate", "weight_decay", "label_smoothing", "epochs", "patience", "seed")
OF_ONE_CLASS = ("val_top1", "val_balanced_accuracy", "val_loss")
OF_LABELS = ("val_mean_average_precision", "val_macro_f1", "val_loss")  # any number a photo
OBJECTIVES = {name: "min" if name == "val_loss" else "max" for name in (*OF_ONE_CLASS, *OF_LABELS)}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One point of the space, tried.

    Attributes:
        number: From 0, in the order in which trials start.
        recipe: Repeats the trial.
        axes: Names of what the search varies.
        status: `"completed"`; `"infeasible"`, where memory did not suffice; or `"diverged"`.
        executions: Validation figures of each execution; executions differ in the seed.
        seconds: Training time of all executions.
        message: What went wrong.
        values: Of the axes, and of the tuner's own, as keras-tuner drew them.
    """

    number: int
    recipe: Recipe
    axes: tuple[str, ...]
    status: str
    executions: tuple[dict[str, float], ...] = ()
    seconds: float = 0.0
    message: str = ""
    values: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def figures(self) -> dict[str, float]:
        """Means over the executions; empty if the trial was not completed."""
        names = self.executions[0] if self.executions else ()
        return {name: statistics.fmean(run[name] for run in self.executions) for name in names}

    def value_of(self, axis: str) -> Any:
        """Returns the recipe's value on an axis; None if its strategy has no such option."""
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
    """Records a trial that has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {f.name: getattr(trial, f.name) for f in dataclasses.fields(trial)}
    write_checked_json(
        trial_file(trial.number, folder), values | {"recipe": trial.recipe.to_json()}
    )


def trial_file(number: int, folder: pathlib.Path) -> pathlib.Path:
    """Returns where a trial that has ended is recorded."""
    return folder / f"{number}.json"


def read_trials(folder: pathlib.Path) -> list[Trial]:
    """Returns the trials that have ended, by number. A damaged record counts as none."""
    trials = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            values = read_checked_json(path)
            for name in ("axes", "executions"):
                values[name] = tuple(values[name])
            trials.append(Trial(**values | {"recipe": Recipe.from_json(values["recipe"])}))
    return sorted(trials, key=lambda trial: trial.number)


def best_trial(trials: list[Trial], objective: str) -> Trial | None:
    """Returns the best completed trial, or None."""
    completed = [trial for trial in trials if trial.status == COMPLETED]
    return max(completed, key=lambda trial: trial.rank(objective), default=None)


def smallest_infeasible_batch(trials: list[Trial], recipe: Recipe) -> int | None:
    """Returns the smallest batch size for which memory did not suffice, or None.

    Args:
        trials: Those that ended.
        recipe: Trials that differ from it in more than batch size and `TAKE_NO_MEMORY` do not count: another
            strategy, image size or precision takes another amount of memory.
    """
    sizes = [
        trial.recipe.batch_size
        for trial in trials
        if trial.status == INFEASIBLE
        and trial.recipe.batch_size is not None
        and _what_takes_memory(trial.recipe) == _what_takes_memory(recipe)
    ]
    return min(sizes, default=None)


def _what_takes_memory(recipe: Recipe) -> dict[str, Any]:
    left_out = {"batch_size", *TAKE_NO_MEMORY}
    return {name: value for name, value in recipe.to_json().items() if name not in left_out}


def objectives_of(trials: list[Trial]) -> tuple[str, ...]:
    """Returns the figures that trials can be compared by: which there are depends on the photos' labels."""
    completed = (trial.figures for trial in trials if trial.status == COMPLETED)
    return OF_LABELS if any(OF_LABELS[0] in figures for figures in completed) else OF_ONE_CLASS


def check_objective(objective: str, *, several: bool) -> None:
    """Raises `InputError` where the photos' labels do not have the figure."""
    known = OF_LABELS if several else OF_ONE_CLASS
    if objective not in known:
        kind = "may have several labels" if several else "have one class"
        raise InputError(
            f"The photos {kind}, and trials cannot be compared by {objective!r}. Choose one of {', '.join(known)}."
        )


def write_table(trials: list[Trial], path: pathlib.Path) -> None:
    """Writes `trials.csv`: number, status, the recipe's value on every axis, figures, seconds."""
    axes = list(trials[0].axes)
    objectives = objectives_of(trials)
    head = ["trial", "status", *axes, *objectives, "executions", "seconds", "message"]
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for trial in trials:
            values = [trial.value_of(axis) for axis in axes]
            figures = [trial.figures.get(name, "") for name in objectives]
            count = len(trial.executions)
            message = trial.message.splitlines()[0] if trial.message else ""
            writer.writerow(
                [trial.number, trial.status, *values, *figures, count, trial.seconds, message]
            )
