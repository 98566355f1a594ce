"""What a run needs to resume: variables and a few plain values, saved whole or not at all."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tl_toolkit.errors import InputError

# What TensorFlow raises for a checkpoint that is not whole.
DAMAGED = (tf.errors.OpError, ValueError, RuntimeError, AssertionError, LookupError, OSError)


class Checkpoints:
    """Checkpoints of one run in one folder.

    One that cannot be read, such as a truncated one, makes way for the one before it.

    Args:
        folder: Where they lie; made when the first one is saved.
        variables: Keras variables that move in training, always in the same order.
        keep: How many are kept.

    Attributes:
        damaged: Names of those that could not be read.
    """

    def __init__(self, folder: pathlib.Path, variables: Sequence, keep: int = 2) -> None:
        # Not `tf.train.Checkpoint(model=…)`: it leaves out seed state and refuses metrics.
        self._plain = tf.Variable("", trainable=False, dtype=tf.string)
        checkpoint = tf.train.Checkpoint(
            variables=[variable.value for variable in variables], plain=self._plain
        )
        self._folder = folder
        with contextlib.suppress(FileNotFoundError):
            _drop_unreadable(folder / "checkpoint")
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=keep)
        self.damaged: list[str] = []

    def save(self, plain: dict[str, Any], number: int) -> None:
        """Saves the variables as they are and `plain`, JSON values, under a number that counts up."""
        self._plain.assign(json.dumps(plain))
        self._manager.save(checkpoint_number=number)

    def read_plain(self) -> dict[str, Any] | None:
        """Returns the plain values of the newest one, and restores nothing; None where there is none."""
        return self._newest(
            lambda path: tf.train.load_variable(path, "plain/.ATTRIBUTES/VARIABLE_VALUE")
        )

    def restore(self) -> dict[str, Any] | None:
        """Restores the newest one and returns its plain values; None where there is none."""

        def restored(path: str) -> bytes:
            self._manager.checkpoint.restore(path).assert_consumed()
            return self._plain.numpy()

        return self._newest(restored)

    def _newest(self, read: Callable[[str], bytes]) -> dict[str, Any] | None:
        """Reads the newest one that can be read.

        Raises:
            InputError: There are some, and none can be read.
        """
        paths = list(reversed(self._manager.checkpoints)) or self._unlisted()
        for path in paths:
            try:
                return json.loads(read(path))
            except DAMAGED:
                name = pathlib.Path(path).name
                if name not in self.damaged:
                    self.damaged.append(name)
        if paths:
            raise InputError(
                f"No checkpoint in {str(self._folder)!r} can be read. Remove the folder and start again."
            )
        return None

    def _unlisted(self) -> list[str]:
        """Those in the folder, newest first, where TensorFlow's list of them is lost."""
        paths = [str(path.with_suffix("")) for path in self._folder.glob("ckpt-*.index")]
        return sorted(paths, key=lambda path: -int(path.rpartition("-")[2]))


def _drop_unreadable(listed: pathlib.Path) -> None:
    """Removes TensorFlow's list of checkpoints if it is empty or no text: the manager fails on it."""
    try:
        is_text = bool(listed.read_text("utf-8"))
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        listed.unlink()
