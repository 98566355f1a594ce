"""What a search shows while it runs: its trials, the best so far, and the time left."""

from __future__ import annotations

import statistics
from typing import Any

import keras
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from tl_toolkit.tuning.trials import COMPLETED, Trial, best_trial

ROWS = 12  # trials on the screen: the best ones


class SearchTable:
    """A table that is kept up to date in a terminal; elsewhere a line a trial.

    Args:
        console: Where to.
        objective: The figure by which trials are compared.
        total: Trials of the search; None where it is not known.
        ended: Trials of an earlier start.
    """

    def __init__(
        self, console: Console, objective: str, total: int | None, ended: list[Trial]
    ) -> None:
        self._console = console
        self._objective = objective
        self._total = total
        self._trials = {trial.number: trial for trial in ended}
        self._running = ""
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> SearchTable:
        if self._live is not None:
            self._live.start()
            self._refresh()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._running = ""
            self._refresh()
            self._live.stop()

    def callback(self, number: int) -> keras.callbacks.Callback:
        """A callback that shows how far a trial is."""
        return _Epochs(self, number)

    def running(self, line: str) -> None:
        """Shows what goes on."""
        self._running = line
        self._refresh()

    def ended(self, trial: Trial) -> None:
        """Shows a trial that has ended."""
        self._trials[trial.number] = trial
        self._running = ""
        if self._live is None:
            self._console.print(f"{_line(trial, self._objective)}; {self.summary()}")
        self._refresh()

    def summary(self) -> str:
        """The best so far, how many are done, and the time left."""
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

    def _refresh(self) -> None:
        if self._live is None:
            return
        parts = [trials_table(list(self._trials.values()), self._objective), self.summary()]
        self._live.update(Group(*parts, self._running), refresh=True)


class _Epochs(keras.callbacks.Callback):
    def __init__(self, table: SearchTable, number: int) -> None:
        super().__init__()
        self._table = table
        self._number = number

    def on_epoch_end(self, epoch, logs=None) -> None:
        figures = ", ".join(f"{name} {logs[name]:.4f}" for name in ("loss", "val_top1", "val_loss"))
        epochs = self.params["epochs"]
        self._table.running(f"trial {self._number}: epoch {epoch + 1} of {epochs}, {figures}")


def trials_table(trials: list[Trial], objective: str, rows: int = ROWS) -> Table:
    """The best trials as a table, the best one first."""
    axes = trials[0].axes if trials else ()
    table = Table("trial", *axes, "val_top1", "val_loss", "seconds")
    best = sorted(
        (trial for trial in trials if trial.status == COMPLETED),
        key=lambda trial: trial.rank(objective),
        reverse=True,
    )
    failed = [trial for trial in trials if trial.status != COMPLETED]
    for trial in [*best, *failed][:rows]:
        figures = [f"{trial.figures[k]:.4f}" for k in ("val_top1", "val_loss") if trial.figures]
        table.add_row(
            str(trial.number),
            *(_shown(trial.value_of(axis)) for axis in axes),
            *(figures or [trial.status, ""]),
            f"{trial.seconds:.1f}",
        )
    return table


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
