"""Optimizers that change every variable as its `Update` says: the step is scaled, not the gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tl_toolkit.transfer.updates import Update


class FirstValues:
    """Values of variables before the first step, which L2-SP decays to.

    They are no part of a checkpoint: they follow from the weights, and are read before one is restored.

    Args:
        variables: Keras variables.
    """

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self._variables = list(variables)
        self._values = [
            keras.Variable(variable.numpy(), dtype=variable.dtype, trainable=False)
            for variable in variables
        ]
        self._of = dict(zip((variable.path for variable in variables), self._values, strict=True))

    def of(self, path: str) -> tf.Tensor:
        """Returns the value of the variable with that path."""
        return tf.convert_to_tensor(self._of[path])

    def take(self) -> None:
        """Takes the values that the variables have now."""
        for variable, value in zip(self._variables, self._values, strict=True):
            value.assign(variable.numpy())


@dataclasses.dataclass(frozen=True)
class Rule:
    """What an optimizer is to do.

    Attributes:
        paths: Of the variables, in the order in which the optimizer was built for them.
        updates: By path.
        first_values: Of those that L2-SP holds.
    """

    paths: tuple[str, ...]
    updates: dict[str, Update]
    first_values: FirstValues


class ByVariable:
    """Makes a Keras optimizer follow a `Rule`; its own weight decay must be off.

    For Adam a scaled gradient would take the same step, so the learning rate of the variable is scaled. Decay,
    towards 0 or the first values, is decoupled (Loshchilov and Hutter 2019) and scaled with it.
    """

    rule: Rule | None = None

    def update_step(
        self: Any, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any
    ) -> None:
        """Changes one variable; Keras calls it for each, on every replica."""
        path = self.rule.paths[self._get_variable_index(variable)]
        update = self.rule.updates[path]
        rate = tf.cast(learning_rate, variable.dtype) * update.rate
        if update.first_step:
            rate *= tf.cast(self.iterations >= update.first_step, variable.dtype)
        if update.weight_decay:
            variable.assign_sub(variable * update.weight_decay * rate)
        if update.l2_sp:
            distance = variable - self.rule.first_values.of(path)
            variable.assign_sub(distance * update.l2_sp * rate)
        super().update_step(gradient, variable, rate)  # type: ignore[misc]


class AdamByVariable(ByVariable, keras.optimizers.Adam):
    """Adam that follows a `Rule`; with its decay, AdamW."""


class SGDByVariable(ByVariable, keras.optimizers.SGD):
    """SGD that follows a `Rule`."""


def take_first_values(optimizer: keras.optimizers.Optimizer) -> None:
    """Has L2-SP decay to the weights as they are now, before the first step of a training."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if isinstance(optimizer, ByVariable) and optimizer.rule is not None:
        optimizer.rule.first_values.take()
