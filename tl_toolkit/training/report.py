"""A training as one stage of a `Progress`."""

from __future__ import annotations

import contextlib
from typing import Any

import keras

from tl_toolkit.progress import Progress, Stage

FIGURES = ("loss", "top1", "label_accuracy", "val_loss", "val_top1", "val_mean_average_precision")


class ReportTraining(keras.callbacks.Callback):
    """Shows epochs and steps, and the last epoch's figures. Use it as a context around the training.

    Args:
        progress: Where to.
        title: Of the stage.
    """

    def __init__(self, progress: Progress, title: str) -> None:
        super().__init__()
        self._progress = progress
        self._title = title
        self._stages = contextlib.ExitStack()
        self._stage = Stage()

    def __enter__(self) -> ReportTraining:
        return self

    def __exit__(self, *error: object) -> None:
        self._stages.close()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        steps, epochs = self.params["steps"], self.params["epochs"]
        done = steps * int((logs or {}).get("epochs_done", 0))
        self._stage = self._stages.enter_context(
            self._progress.stage(self._title, total=steps * epochs, done=done)
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._stage.advance()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = [f"{name} {logs[name]:.3f}" for name in FIGURES if logs and name in logs]
        self._stage.describe(f"epoch {epoch + 1}/{self.params['epochs']} {' '.join(figures)}")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._stages.close()
