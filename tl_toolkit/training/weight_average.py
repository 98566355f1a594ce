"""A moving average of the weights, which is validated and kept while training goes on with the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf


class WeightAverage:
    """An exponential moving average of a model's weights, its batch statistics among them.

    After step t, counted from 0: average ← d · average + (1 − d) · weight with d = min(decay, (1 + t) / (10 + t)),
    so that a short training is no average of its beginning, as in `tf.train.ExponentialMovingAverage`. Batch
    normalisation's moving statistics are averaged alike: those of the weights are wrong for averaged weights.

    Keras' optimizers have `use_ema`: it knows neither the statistics nor a warm-up.

    Args:
        variables: Keras variables of floating point: what is trained, and the statistics that follow.
        decay: Over 0 and under 1.
        distribute: The strategy in whose scope the variables were made.
    """

    def __init__(
        self,
        variables: Sequence[keras.Variable],
        decay: float,
        distribute: tf.distribute.Strategy,
    ) -> None:
        self._weights = list(variables)
        self._decay = decay
        self._distribute = distribute
        with distribute.scope():
            self._steps = keras.Variable(0, dtype="int64", trainable=False)
            self._averages = [
                keras.Variable(weight.numpy(), dtype=weight.dtype, trainable=False)
                for weight in self._weights
            ]

    @property
    def variables(self) -> list[keras.Variable]:
        """What a checkpoint needs."""
        return [self._steps, *self._averages]

    def start_again(self) -> None:
        """Begins with the weights as they are now, before the first step of a training."""
        self._steps.assign(0)
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign(weight.numpy())

    def follow(self) -> None:
        """Takes a step's weights into the average; call it in the step's graph, outside of its replicas."""
        steps = tf.cast(self._steps.value, tf.float32)
        kept = tf.minimum(self._decay, (1 + steps) / (10 + steps))

        def move(average: tf.Variable, weight: tf.Tensor, kept: tf.Tensor) -> tf.Operation:
            weight = tf.convert_to_tensor(weight)
            return average.assign_sub((average - weight) * tf.cast(1 - kept, average.dtype))

        for average, weight in zip(self._averages, self._weights, strict=True):
            self._distribute.extended.update(average.value, move, args=(weight.value, kept))
        self._steps.assign_add(1)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the model has the averaged weights; afterwards its own again, bit by bit."""
        own = [weight.numpy() for weight in self._weights]
        try:
            self.give()
            yield
        finally:
            for weight, value in zip(self._weights, own, strict=True):
                weight.assign(value)

    def give(self) -> None:
        """Gives the model the averaged weights."""
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.assign(average.numpy())
