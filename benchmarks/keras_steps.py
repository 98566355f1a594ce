"""Steps of `fit`, `evaluate` and `predict`, timed between a Keras callback's calls. It imports Keras."""

from __future__ import annotations

import keras
from stopwatch import NOTHING, Spent, Stopwatch


class StepTimer(keras.callbacks.Callback):
    """Times every batch from the end of the one before, so with what it waits for: its data among others.

    A pass's first batch is timed from the pass's begin. What follows the last batch of a pass is in no step: where
    the pipeline ends, TensorFlow can wait for its tuning thread (see `tl_toolkit.data.parallelism`).

    Attributes:
        passes: The steps of each epoch, evaluation and prediction.

    Args:
        watch: Runs.
    """

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.passes: list[list[Spent]] = []
        self._watch = watch
        self._before = NOTHING

    def on_epoch_begin(self, epoch, logs=None):
        self._begin()

    def on_test_begin(self, logs=None):
        self._begin()

    def on_predict_begin(self, logs=None):
        self._begin()

    def on_train_batch_end(self, batch, logs=None):
        self._end_step()

    def on_test_batch_end(self, batch, logs=None):
        self._end_step()

    def on_predict_batch_end(self, batch, logs=None):
        self._end_step()

    def _begin(self) -> None:
        self._before = self._watch.read()
        self.passes.append([])

    def _end_step(self) -> None:
        now = self._watch.read()
        self.passes[-1].append(now - self._before)
        self._before = now

    @property
    def last_step(self) -> Spent:
        """What was spent when the last batch ended."""
        return self._before

    def after_last_step(self) -> Spent:
        """What was spent since the last batch: call it when `fit` or `predict` is back."""
        return self._watch.read() - self._before

    def seconds_of_steps(self) -> Spent:
        """What all steps of all passes took."""
        return sum((step for steps in self.passes for step in steps), NOTHING)
