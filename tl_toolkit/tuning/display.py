"""What a search shows while it runs: its trials, the best so far, and the time left."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from tl_toolkit.progress import Progress, Stage, Table
from tl_toolkit.tuning.trials import COMPLETED, Trial, best_trial, objectives_of

ROWS = 12  # trials shown: the best ones


class StagesOnly(Progress):
    """Shows the stages of trials, and not the lines that every trial would repeat."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.log_file = progress.log_file

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None = None, done: int = 0) -> Iterator[Stage]:
        with self._progress.stage(title, total, done) as stage:
            yield stage


class SearchDisplay:
    """Keeps a table of the trials up to date.

    Args:
        progress: Where it is shown.
        objective: The figure by which trials are compared.
        total: Number of trials; None if it is not known.
        ended: Trials that ended before the search was resumed.
    """

    def __init__(
        self, progress: Progress, objective: str, total: int | None, ended: Sequence[Trial]
    ) -> None:
        self._progress = progress
        self._objective = objective
        self._total = total
        self._trials = {trial.number: trial for trial in ended}

    def trial_ended(self, trial: Trial) -> None:
        """Shows a trial that has ended."""
        self._trials[trial.number] = trial
        line = f"{_line(trial, self._objective)}; {self.summary()}"
        table = trials_table(list(self._trials.values()), self._objective, caption=self.summary())
        self._progress.show(table, line)

    def summary(self) -> str:
        """Returns how many trials are done, the best so far, and the time left."""
        trials = list(self._trials.values())
        best = best_trial(trials, self._objective)
        words = [f"{len(trials)}{f' of {self._total}' if self._total else ''} trials"]
        if best is not None:
            figure = best.figures[self._objective]
            words.append(f"best {self._objective} {figure:.4f} (trial {best.number})")
        times = [trial.seconds for trial in trials if trial.status == COMPLETED]
        if self._total and times and len(trials) < self._total:
            left = statistics.median(times) * (self._total - len(trials))
            words.append(f"about {_duration(left)} left")
        return ", ".join(words)


def trials_table(
    trials: Sequence[Trial], objective: str, rows: int = ROWS, caption: str = ""
) -> Table:
    """Returns a table of the best trials, the best one first."""
    axes = trials[0].axes if trials else ()
    best = sorted(
        (trial for trial in trials if trial.status == COMPLETED),
        key=lambda trial: trial.rank(objective),
        reverse=True,
    )
    failed = [trial for trial in trials if trial.status != COMPLETED]
    accuracy = objectives_of(list(trials))[0]
    return Table(
        ("trial", *axes, accuracy, "val_loss", "seconds"),
        tuple(_row(trial, axes, accuracy) for trial in [*best, *failed][:rows]),
        caption,
    )


def _row(trial: Trial, axes: Sequence[str], accuracy: str) -> tuple[str, ...]:
    figures = [f"{trial.figures[k]:.4f}" for k in (accuracy, "val_loss") if trial.figures]
    values = (_shown(trial.value_of(axis)) for axis in axes)
    return str(trial.number), *values, *(figures or [trial.status, ""]), f"{trial.seconds:.1f}"


def _line(trial: Trial, objective: str) -> str:
    axes = ", ".join(f"{axis} {_shown(trial.value_of(axis))}" for axis in trial.axes)
    result = trial.status
    if trial.status == COMPLETED:
        result = f"{objective} {trial.figures[objective]:.4f} in {trial.seconds:.1f} s"
    return f"trial {trial.number}: {axes}: {result}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
