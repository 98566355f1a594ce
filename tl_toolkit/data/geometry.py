"""Where a view lies in its image, and how it is turned, sheared and shifted."""

from __future__ import annotations

import math

import tensorflow as tf

from tl_toolkit.catalog import CROP, LETTERBOX, Augmentation
from tl_toolkit.data.draws import between
from tl_toolkit.data.lazy_image import Window

BORDER = (
    128.0  # what shows behind the border of a turned image, as in AutoAugment (Cubuk et al. 2019)
)


def random_view_window(
    augmentation: Augmentation,
    resize: str,
    height: tf.Tensor,
    width: tf.Tensor,
    u: list[tf.Tensor],
) -> Window:
    """As `random_window`, in the image as it is made square: squashed, or with grey beside it.

    Args:
        augmentation: Gives the ranges.
        resize: `"crop"`, `"squash"` or `"letterbox"`.
        height: float32[] of the image.
        width: float32[] of the image.
        u: Four draws.
    """
    if resize == CROP:
        return random_window(augmentation, height, width, u)
    if resize == LETTERBOX:
        side = tf.maximum(height, width)
        top, left, *sides = random_window(augmentation, side, side, u)
        return top - (side - height) / 2, left - (side - width) / 2, *sides
    one = tf.constant(1.0)
    top, left, tall, wide = random_window(augmentation, one, one, u)
    return top * height, left * width, tall * height, wide * width


def random_window(
    augmentation: Augmentation, height: tf.Tensor, width: tf.Tensor, u: list[tf.Tensor]
) -> Window:
    """Returns float32 (top, left, height, width), in pixels, of a view in its image.

    Args:
        augmentation: Gives the ranges.
        height: float32[] of the image.
        width: float32[] of the image.
        u: Four draws of float32[] from 0 to 1: area, aspect ratio, place from the top and from the left.
    """
    area = between(*augmentation.area, u[0])
    narrowest, widest = augmentation.aspect_ratio
    ratio = tf.exp(between(math.log(narrowest), math.log(widest), u[1]))
    if augmentation.shift is None:
        # Nominal sides from the image's own area, cut to what the image has.
        side = tf.sqrt(area * height * width)
        window_height = tf.minimum(side / tf.sqrt(ratio), height)
        window_width = tf.minimum(side * tf.sqrt(ratio), width)
        top, left = u[2] * (height - window_height), u[3] * (width - window_width)
    else:
        side = tf.minimum(height, width)
        window_height = side * tf.sqrt(area / ratio)
        window_width = side * tf.sqrt(area * ratio)
        largest = augmentation.shift * side
        top = (height - window_height) / 2 + between(-largest, largest, u[2])
        left = (width - window_width) / 2 + between(-largest, largest, u[3])
    return top, left, window_height, window_width


def reversed_where(condition: tf.Tensor, pixels: tf.Tensor, axis: int) -> tf.Tensor:
    """Mirrors float32[size, size, 3] where a condition, bool[], is true: axis 1 left to right, axis 0 upside down; exact.

    By the operation that is made for it: a slice with a negative step takes four times as long.
    """
    return tf.cond(condition, lambda: tf.reverse(pixels, [axis]), lambda: pixels)


def quarter_turn(pixels: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    """Turns float32[size, size, 3] by 0, 90, 180 or 270 degrees, as a draw from 0 to under 1 says; exact."""
    turned = tf.image.rot90(pixels, tf.cast(4 * fraction, tf.int32))
    return tf.ensure_shape(turned, pixels.shape)


def rotate(pixels: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Turns float32[size, size, 3] about its centre, anticlockwise."""
    angle = degrees * (math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    return _mapped(pixels, [[cosine, -sine], [sine, cosine]])


def shear_x(pixels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Shifts the rows of float32[size, size, 3] by `factor` pixels for each row from the centre down, leftwards."""
    return _mapped(pixels, [[1.0, factor], [0.0, 1.0]])


def shear_y(pixels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """As `shear_x`, for columns: upwards, for each column from the centre to the right."""
    return _mapped(pixels, [[1.0, 0.0], [factor, 1.0]])


def translate_x(pixels: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    """Shifts float32[size, size, 3] to the left, by a fraction of its side."""
    return _mapped(pixels, [[1.0, 0.0], [0.0, 1.0]], left=fraction)


def translate_y(pixels: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    """Shifts float32[size, size, 3] up, by a fraction of its side."""
    return _mapped(pixels, [[1.0, 0.0], [0.0, 1.0]], up=fraction)


def _mapped(
    pixels: tf.Tensor,
    matrix: list[list[tf.Tensor | float]],
    left: tf.Tensor | float = 0.0,
    up: tf.Tensor | float = 0.0,
) -> tf.Tensor:
    """Every pixel (x, y) of the result shows the place `matrix` @ (x, y) + (left, up), from the centre; bilinear."""
    size = tf.cast(tf.shape(pixels)[0], tf.float32)
    centre = (size - 1) / 2
    (a, b), (c, d) = matrix
    x = centre - (a + b) * centre + left * size
    y = centre - (c + d) * centre + up * size
    transform = tf.stack([tf.cast(number, tf.float32) for number in (a, b, x, c, d, y, 0.0, 0.0)])
    mapped = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels[None],
        transforms=transform[None],
        output_shape=tf.shape(pixels)[:2],
        fill_value=BORDER,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
    return tf.ensure_shape(mapped, pixels.shape)
