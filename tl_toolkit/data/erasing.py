"""Random erasing: a rectangle of noise, so that no single part of the image decides."""

from __future__ import annotations

import math

import tensorflow as tf

from tl_toolkit.data.draws import between, fold

AREA, ASPECT_RATIO = (0.02, 0.4), (0.3, 1 / 0.3)  # Zhong et al. 2020, "Random Erasing", section 4.2


def erase_rectangle(pixels: tf.Tensor, share: float, key: tf.Tensor) -> tf.Tensor:
    """Replaces a rectangle by noise (Zhong et al. 2020, "Random Erasing Data Augmentation", RE-R).

    Args:
        pixels: float32[size, size, 3], 0-255.
        share: Of the images of which something is erased.
        key: int64[2]; the same key gives the same pixels.

    Returns:
        float32[size, size, 3]. A side longer than the image is cut to it, where the paper draws again.
    """
    size = tf.shape(pixels)[0]
    side = tf.cast(size, tf.float32)
    u = tf.random.stateless_uniform([5], key)
    area = between(*AREA, u[1])
    ratio = tf.exp(between(math.log(ASPECT_RATIO[0]), math.log(ASPECT_RATIO[1]), u[2]))
    height = tf.minimum(tf.round(side * tf.sqrt(area * ratio)), side)
    width = tf.minimum(tf.round(side * tf.sqrt(area / ratio)), side)
    top, left = tf.floor(u[3] * (side - height + 1)), tf.floor(u[4] * (side - width + 1))
    place = tf.range(side)
    rows = (place >= top) & (place < top + height)
    columns = (place >= left) & (place < left + width)
    noise = tf.floor(tf.random.stateless_uniform(tf.shape(pixels), fold(key, 0), maxval=256.0))
    erased = tf.where((rows[:, None] & columns[None, :])[..., None], noise, pixels)
    return tf.where(u[0] < share, erased, pixels)
