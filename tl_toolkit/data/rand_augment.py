"""RandAugment: a few operations at random, all of one magnitude.

Cubuk et al. 2020, "RandAugment: Practical Automated Data Augmentation with a Reduced Search Space": the fourteen
operations of its figure 2. Ranges are those of AutoAugment (Cubuk et al. 2019, table 6), but a shift is by
three tenths of the side at most. Two operations have no magnitude there: here the result is blended in by it, so that
0 changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tl_toolkit.data.colour import (
    autocontrast,
    blend,
    change_brightness,
    change_colour,
    change_contrast,
    change_sharpness,
    equalize,
    posterize,
    solarize,
)
from tl_toolkit.data.draws import fold, one_of
from tl_toolkit.data.geometry import rotate, shear_x, shear_y, translate_x, translate_y

LARGEST_MAGNITUDE = 10.0
DEGREES, SHEAR, SHIFT, ENHANCEMENT, DROPPED_BITS = 30.0, 0.3, 0.3, 0.9, 4.0  # at that

# From pixels and a strength from -1 to 1, whose sign is a direction where there are two.
Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
OPERATIONS: dict[str, Operation] = {
    "identity": lambda pixels, strength: pixels,
    "autocontrast": lambda pixels, strength: blend(pixels, autocontrast(pixels), tf.abs(strength)),
    "equalize": lambda pixels, strength: blend(pixels, equalize(pixels), tf.abs(strength)),
    "rotate": lambda pixels, strength: rotate(pixels, DEGREES * strength),
    "solarize": lambda pixels, strength: solarize(pixels, 256.0 * (1 - tf.abs(strength))),
    "colour": lambda pixels, strength: change_colour(pixels, 1 + ENHANCEMENT * strength),
    "posterize": lambda pixels, strength: posterize(
        pixels, tf.round(DROPPED_BITS * tf.abs(strength))
    ),
    "contrast": lambda pixels, strength: change_contrast(pixels, 1 + ENHANCEMENT * strength),
    "brightness": lambda pixels, strength: change_brightness(pixels, 1 + ENHANCEMENT * strength),
    "sharpness": lambda pixels, strength: change_sharpness(pixels, 1 + ENHANCEMENT * strength),
    "shear_x": lambda pixels, strength: shear_x(pixels, SHEAR * strength),
    "shear_y": lambda pixels, strength: shear_y(pixels, SHEAR * strength),
    "translate_x": lambda pixels, strength: translate_x(pixels, SHIFT * strength),
    "translate_y": lambda pixels, strength: translate_y(pixels, SHIFT * strength),
}


def rand_augment(pixels: tf.Tensor, operations: int, magnitude: float, key: tf.Tensor) -> tf.Tensor:
    """Applies operations one after the other, each drawn out of all.

    Args:
        pixels: float32[size, size, 3], 0-255.
        operations: How many ("N").
        magnitude: Of each, from 0 to 10 ("M"); its sign is drawn.
        key: int64[2]; the same key gives the same pixels.

    Returns:
        float32[size, size, 3], 0-255.
    """
    for number in range(operations):
        u = tf.random.stateless_uniform([2], fold(key, number))
        chosen = tf.cast(u[0] * len(OPERATIONS), tf.int32)
        strength = tf.where(u[1] < 0.5, -1.0, 1.0) * (magnitude / LARGEST_MAGNITUDE)
        pixels = tf.ensure_shape(apply_operation(pixels, chosen, strength), pixels.shape)
    return pixels


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None, 3], tf.float32),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([], tf.float32),
    ],
    autograph=False,
)
def apply_operation(pixels: tf.Tensor, number: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Applies the operation of that number; traced once in a process, however many apply it."""
    return one_of([_bound(op, pixels, strength) for op in OPERATIONS.values()], number)


def _bound(operation: Operation, pixels: tf.Tensor, strength: tf.Tensor) -> Callable[[], tf.Tensor]:
    return lambda: operation(pixels, strength)
