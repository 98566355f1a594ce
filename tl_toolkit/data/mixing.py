"""MixUp and CutMix, one example at a time: with whom and how much follows from (seed, image, epoch).

In their papers a batch is mixed with itself, all by one λ. Here every example has its own partner, out of the whole
epoch, and its own λ: the result then depends neither on how a batch is spread over devices nor on where
a run was resumed.
"""

from __future__ import annotations

import tensorflow as tf

from tl_toolkit.catalog import Augmentation
from tl_toolkit.data.draws import fold

PARTNER, METHOD, SHARE, PLACE = 1, 2, 3, 4  # each drawn by a key of its own


def draw_partner(position: tf.Tensor, order: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Returns int64[], the position of another image of the epoch, or the same one where it is the only one.

    Args:
        position: int64[] of the image.
        order: int64[n], the positions of the whole epoch: images that come more often are drawn more often.
        key: int64[2].
    """
    count = tf.size(order, tf.int64)
    index = tf.random.stateless_uniform([], fold(key, PARTNER), 0, count, tf.int64)
    drawn = order[index]
    return tf.where(drawn == position, order[(index + 1) % count], drawn)


def mix_images(
    first: tf.Tensor, second: tf.Tensor, augmentation: Augmentation, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns two views as one, and the share of the first in it.

    Args:
        first: float32[size, size, 3], 0-255.
        second: The same.
        augmentation: Gives α of MixUp, of CutMix, or of both: then a draw decides between them.
        key: int64[2]; the same key gives the same pixels.

    Returns:
        float32[size, size, 3], and float32[] from 0 to 1.
    """
    if not augmentation.cutmix:
        return _blended(first, second, augmentation.mixup, key)
    if not augmentation.mixup:
        return _pasted(first, second, augmentation.cutmix, key)
    return tf.cond(
        tf.random.stateless_uniform([], fold(key, METHOD)) < 0.5,
        lambda: _blended(first, second, augmentation.mixup, key),
        lambda: _pasted(first, second, augmentation.cutmix, key),
    )


def _blended(
    first: tf.Tensor, second: tf.Tensor, alpha: float, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization": λ of the one and 1 - λ of the other."""
    share = draw_share(alpha, key)
    return share * first + (1 - share) * second, share


def _pasted(
    first: tf.Tensor, second: tf.Tensor, alpha: float, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Yun et al. 2019, "CutMix", section 3: a rectangle of 1 - λ of the area, cut where it reaches over the border."""
    size = tf.shape(first)[0]
    side = tf.cast(size, tf.float32)
    half = side * tf.sqrt(1 - draw_share(alpha, key)) / 2
    centre = side * tf.random.stateless_uniform([2], fold(key, PLACE))
    start = tf.round(tf.maximum(centre - half, 0.0))
    end = tf.round(tf.minimum(centre + half, side))
    place = tf.range(side)[:, None]
    rows, columns = tf.unstack((place >= start) & (place < end), axis=-1)
    pasted = rows[:, None] & columns[None, :]
    # What was really pasted, in whole pixels.
    share = 1 - tf.reduce_mean(tf.cast(pasted, tf.float32))
    return tf.where(pasted[..., None], second, first), share


def draw_share(alpha: float, key: tf.Tensor) -> tf.Tensor:
    """Returns float32[], drawn from Beta(α, α)."""
    # In float64, whose range a small α does not leave.
    gammas = tf.random.stateless_gamma([2], fold(key, SHARE), alpha, dtype=tf.float64)
    share = tf.math.divide_no_nan(gammas[0], tf.reduce_sum(gammas))
    return tf.cast(share, tf.float32)
