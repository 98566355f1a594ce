"""Random numbers that follow from (seed, image, view) alone, and operations chosen by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

VIEW, MIX = 0x4155, 0x4D58  # what is drawn for
# What else is drawn of a view, each by a key of its own: what one preset draws changes no other.
QUARTER_TURN, LIGHT, RAND_AUGMENT, ERASING = 1, 2, 3, 4


def draw_key(seed: int, purpose: int, *folded: tf.Tensor) -> tf.Tensor:
    """Returns int64[2], a key for stateless draws that follows from the seed and numbers, int64[] each."""
    key = tf.constant([seed, purpose], tf.int64)
    for number in folded:
        key = fold(key, number)
    return key


def fold(key: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """Returns another key, which follows from a key and a number."""
    # Cast, because an int32 of the same value folds to another key.
    return tf.random.experimental.stateless_fold_in(key, tf.cast(number, tf.int64))


def between(low: float, high: float, fraction: tf.Tensor) -> tf.Tensor:
    """Returns the place from `low` (fraction 0) to `high` (fraction 1)."""
    return low + (high - low) * fraction


def one_of(branches: Sequence[Callable[[], tf.Tensor]], index: tf.Tensor) -> tf.Tensor:
    """Returns what the branch of that number, int32[], returns; no other is computed."""
    # Not `tf.switch_case`: in a function that a function calls, the workers of a cluster place it on the
    # first one.
    if len(branches) == 1:
        return branches[0]()
    half = len(branches) // 2
    return tf.cond(
        index < half,
        lambda: one_of(branches[:half], index),
        lambda: one_of(branches[half:], index - half),
    )
