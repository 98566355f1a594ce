"""What a run has to remember to go on: variables and a few plain values, saved whole or not at all."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Checkpoints:
    """Checkpoints of one run in one folder.

    Args:
        folder: Where they lie; made when the first one is saved.
        variables: Keras variables that move in training, always in the same order.
        keep: How many are kept.
    """

    def __init__(self, folder: pathlib.Path, variables: Sequence, keep: int = 2) -> None:
        # Not `tf.train.Checkpoint(model=…)`: it leaves out seed state and refuses metrics.
        self._plain = tf.Variable("", trainable=False, dtype=tf.string)
        checkpoint = tf.train.Checkpoint(
            variables=[variable.value for variable in variables], plain=self._plain
        )
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=keep)

    def save(self, plain: dict[str, Any], number: int) -> None:
        """Saves the variables as they are and `plain`, JSON values, under a number that counts up."""
        self._plain.assign(json.dumps(plain))
        self._manager.save(checkpoint_number=number)

    def read_plain(self) -> dict[str, Any] | None:
        """Returns the plain values of the newest one, and restores nothing; None where there is none."""
        if self._manager.latest_checkpoint is None:
            return None
        value = tf.train.load_variable(
            self._manager.latest_checkpoint, "plain/.ATTRIBUTES/VARIABLE_VALUE"
        )
        return json.loads(value)

    def restore(self) -> dict[str, Any] | None:
        """Restores the newest one and returns its plain values; None where there is none."""
        if self._manager.latest_checkpoint is None:
            return None
        self._manager.checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()
        return json.loads(self._plain.numpy())
