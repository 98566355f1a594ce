"""A progress bar in the terminal."""

from __future__ import annotations

import time

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 30.0


class ProgressBar(keras.callbacks.Callback):
    """Shows epoch, steps, time left, and the last epoch's figures.

    Args:
        console: Where to; one that is no terminal gets a line every half a minute instead.
        title: Of the bar.
    """

    def __init__(self, console: Console, title: str) -> None:
        super().__init__()
        self._console = console
        self._title = title
        self._bar: Progress | None = None
        self._last_line = time.monotonic()

    def on_train_begin(self, logs=None) -> None:
        if not self._console.is_terminal:
            return
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=True,
        )
        steps, epochs = self.params["steps"], self.params["epochs"]
        self._task = self._bar.add_task(
            self._title,
            total=steps * epochs,
            completed=steps * (logs or {}).get("epochs_done", 0),
            figures="",
        )
        self._bar.start()

    def on_train_batch_end(self, batch, logs=None) -> None:
        if self._bar is not None:
            self._bar.advance(self._task)

    def on_epoch_end(self, epoch, logs=None) -> None:
        shown = {k: v for k, v in logs.items() if k in ("loss", "top1", "val_loss", "val_top1")}
        figures = " ".join(f"{name} {value:.3f}" for name, value in shown.items())
        if self._bar is not None:
            self._bar.update(self._task, figures=figures)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(
                f"{self._title}: epoch {epoch + 1}/{self.params['epochs']} {figures}"
            )

    def close(self) -> None:
        """Takes the bar off the screen; also called where training raised."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
