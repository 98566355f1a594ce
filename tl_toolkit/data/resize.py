"""Pixels to the square that a network takes: one resampling for evaluation, training and serving."""

from __future__ import annotations

import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.decode import decode_image

KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}


def resample_window(image, window, size: int | tf.Tensor, interpolation: str) -> tf.Tensor:
    """Cuts a window out of an image and resizes it, antialiased, in one pass.

    Args:
        image: uint8 or float32[height, width, 3].
        window: float32 (top, left, height, width) in the image's pixels; it may reach over the border,
            where pixels count as 0.
        size: Side of the result in pixels.
        interpolation: `"bilinear"` or `"bicubic"`.

    Returns:
        float32[size, size, 3].
    """
    top, left, height, width = window
    side = tf.cast(size, tf.float32)
    scale = tf.stack([side / height, side / width])
    translation = -tf.cast(tf.stack([top, left]), tf.float32) * scale
    resampled = tf.raw_ops.ScaleAndTranslate(
        images=image[None],
        size=tf.stack([size, size]),
        scale=scale,
        translation=translation,
        kernel_type=KERNELS[interpolation],
        antialias=True,
    )[0]
    static_size = size if isinstance(size, int) else None
    return tf.ensure_shape(resampled, (static_size, static_size, 3))


def evaluation_window(image, preprocessing: Preprocessing):
    """The centre crop of evaluation, as torchvision and timm cut it, in the image's own pixels.

    They resize the shorter side to `image_size / crop_fraction` and cut the centre out. Returns
    float32 (top, left, height, width).
    """
    size = preprocessing.image_size
    shorter_side = round(size / preprocessing.crop_fraction)
    height, width = tf.cast(tf.shape(image)[0], tf.float32), tf.cast(tf.shape(image)[1], tf.float32)
    ratio = shorter_side / tf.minimum(height, width)
    # They round the resized sides down to whole pixels, and the offsets to the nearest.
    resized_height = tf.floor(height * ratio + 1e-4)
    resized_width = tf.floor(width * ratio + 1e-4)
    top = tf.round((resized_height - size) / 2)
    left = tf.round((resized_width - size) / 2)
    vertical, horizontal = height / resized_height, width / resized_width
    return top * vertical, left * horizontal, size * vertical, size * horizontal


def resize_for_evaluation(image, preprocessing: Preprocessing) -> tf.Tensor:
    """Raw pixels [height, width, 3], 0-255, to float32[size, size, 3], 0-255, without randomness."""
    window = evaluation_window(image, preprocessing)
    resized = resample_window(image, window, preprocessing.image_size, preprocessing.interpolation)
    return tf.clip_by_value(resized, 0.0, 255.0)  # bicubic overshoots


def decode_and_resize(encoded, preprocessing: Preprocessing) -> tf.Tensor:
    """A file's contents, string[], to float32[size, size, 3], RGB, 0-255."""
    return resize_for_evaluation(decode_image(encoded), preprocessing)
