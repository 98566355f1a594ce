"""Steps of `fit`, `evaluate` and `predict`, timed between a Keras callback's calls. It imports Keras."""

from __future__ import annotations

import keras
from stopwatch import NOTHING, Spent, Stopwatch


class StepTimer(keras.callbacks.Callback):
    """Times every batch from the end of the one before, so with what it waits for: its data among others.

    A pass's first batch is timed from its own begin. What lies between the last batch of a pass and the first one of
    the next is in no step: where a pipeline ends, TensorFlow can wait for its tuning thread (see
    `tl_toolkit.data.parallelism`), and `fit` ends an epoch's pipeline when it begins the next.

    Attributes:
        passes: The steps of each epoch, evaluation and prediction.

    Args:
        watch: Runs.
    """

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.passes: list[list[Spent]] = []
        self._watch = watch
        self._before: Spent | None = None
        self._between = NOTHING

    def on_epoch_begin(self, epoch, logs=None):
        self.passes.append([])

    def on_test_begin(self, logs=None):
        self.passes.append([])

    def on_predict_begin(self, logs=None):
        self.passes.append([])

    def on_train_batch_begin(self, batch, logs=None):
        self._begin_step()

    def on_test_batch_begin(self, batch, logs=None):
        self._begin_step()

    def on_predict_batch_begin(self, batch, logs=None):
        self._begin_step()

    def on_train_batch_end(self, batch, logs=None):
        self._end_step()

    def on_test_batch_end(self, batch, logs=None):
        self._end_step()

    def on_predict_batch_end(self, batch, logs=None):
        self._end_step()

    def _begin_step(self) -> None:
        if self.passes[-1]:
            return
        now = self._watch.read()
        if self._before is not None:
            self._between += now - self._before
        self._before = now

    def _end_step(self) -> None:
        now = self._watch.read()
        assert self._before is not None
        self.passes[-1].append(now - self._before)
        self._before = now

    def waits(self) -> Spent:
        """What was spent between the passes and since the last one: call it when `fit` or `predict` is back."""
        assert self._before is not None
        return self._between + (self._watch.read() - self._before)
