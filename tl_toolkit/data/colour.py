"""Changes of brightness, contrast and colour, as Pillow's `ImageEnhance` and `ImageOps` define them.

All take and return float32[height, width, 3], 0-255, and do not round where Pillow does.
"""

from __future__ import annotations

import tensorflow as tf

GREY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
LEVELS = 256


def blend(other: tf.Tensor, pixels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Returns `other` for a factor of 0, `pixels` for 1, beyond them for more, in the range 0-255."""
    # In this order a factor of 1 gives the very pixels.
    return tf.clip_by_value(pixels + (factor - 1) * (pixels - other), 0.0, 255.0)


def change_brightness(pixels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Black for 0, the image for 1, brighter for more."""
    return blend(tf.zeros_like(pixels), pixels, factor)


def change_contrast(pixels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """The mean grey for 0, the image for 1, more contrast for more."""
    return blend(tf.reduce_mean(_grey(pixels)), pixels, factor)


def change_colour(pixels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Grey for 0, the image for 1, more colourful for more."""
    return blend(_grey(pixels), pixels, factor)


def change_sharpness(pixels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Smoothed for 0, the image for 1, sharper for more; the outermost pixels stay."""
    # Pillow's kernel: five thirteenths for a pixel itself, one for each of its eight neighbours. Not a convolution,
    # which would be computed in bfloat16 where training is.
    inner = pixels[1:-1, 1:-1]
    smoothed = (9 * tf.nn.avg_pool2d(pixels[None], 3, 1, "VALID")[0] + 4 * inner) / 13
    roughness = tf.pad(inner - smoothed, ((1, 1), (1, 1), (0, 0)))
    return blend(pixels - roughness, pixels, factor)


def posterize(pixels: tf.Tensor, dropped_bits: tf.Tensor) -> tf.Tensor:
    """Drops the lowest bits of every value, float32[]; 0 leaves the pixels as they are."""
    step = tf.pow(2.0, dropped_bits)
    return tf.where(dropped_bits > 0, tf.floor(pixels / step) * step, pixels)


def solarize(pixels: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts values of the threshold and more."""
    return tf.where(pixels >= threshold, 255.0 - pixels, pixels)


def autocontrast(pixels: tf.Tensor) -> tf.Tensor:
    """Stretches every channel from 0 to 255; one of a single value stays."""
    low, high = tf.reduce_min(pixels, (0, 1)), tf.reduce_max(pixels, (0, 1))
    stretched = (pixels - low) * tf.math.divide_no_nan(255.0, high - low)
    return tf.where(high > low, stretched, pixels)


def equalize(pixels: tf.Tensor) -> tf.Tensor:
    """Maps every channel so that its values, rounded, are spread evenly from 0 to 255; one of a single value stays."""
    values = tf.cast(tf.round(pixels), tf.int32)
    channels = []
    for channel in tf.unstack(values, axis=-1):
        counts = tf.math.bincount(tf.reshape(channel, [-1]), minlength=LEVELS, maxlength=LEVELS)
        # As Pillow: the brightest value's pixels are left out of what is spread.
        brightest = counts[tf.reduce_max(channel)]
        step = (tf.reduce_sum(counts) - brightest) // (LEVELS - 1)
        darker = tf.cumsum(counts, exclusive=True)
        table = tf.minimum((step // 2 + darker) // tf.maximum(step, 1), LEVELS - 1)
        channels.append(tf.gather(tf.where(step > 0, table, tf.range(LEVELS)), channel))
    return tf.cast(tf.stack(channels, axis=-1), tf.float32)


def _grey(pixels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(pixels * tf.constant(GREY), axis=-1, keepdims=True)
