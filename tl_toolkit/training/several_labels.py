"""The loss and the right answers of photos that may have several labels: each label is a question of its own."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def binary_cross_entropy(logits: Any, labels: Any, label_smoothing: float) -> tf.Tensor:
    """Cross-entropy of every label in float32 or better, as its share of the mean over an image's labels.

    Args:
        logits: float[batch, labels].
        labels: uint8[batch, labels] of 0 and 1, or uint8[batch, 2, labels] of examples that are mixed of two images.
        label_smoothing: Share of a label that is spread over being there and not.

    Returns:
        float32 of the labels' shape, which adds up to an image's loss; float64 for logits in float64.
    """
    logits, labels = tf.convert_to_tensor(logits), tf.convert_to_tensor(labels)
    if logits.dtype != tf.float64:
        logits = tf.cast(logits, tf.float32)
    targets = tf.cast(labels, logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
    if labels.shape.rank == 3:
        logits = tf.repeat(logits[:, None], 2, axis=1)
    return tf.nn.sigmoid_cross_entropy_with_logits(targets, logits) / logits.shape[-1]


def shares_right(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns float64[batch], the share of an image's labels that are answered rightly from probability 0.5 on.

    Args:
        logits: float[batch, labels].
        labels: As `binary_cross_entropy` takes them.
        weights: Of their shape; of a mixed example the image with the larger ones counts.
    """
    if labels.shape.rank == 3:
        main = tf.argmax(tf.reduce_sum(weights, axis=-1), axis=-1)
        labels = tf.gather(labels, main, batch_dims=1)
    is_right = (logits >= 0) == (labels > 0)
    return tf.reduce_mean(tf.cast(is_right, tf.float64), axis=-1)
