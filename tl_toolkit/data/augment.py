"""Augmentation as a pure function of (seed, image, view): no hidden generator, so runs repeat."""

from __future__ import annotations

import math

import tensorflow as tf

from tl_toolkit.catalog import Augmentation, Preprocessing
from tl_toolkit.data.colour import change_brightness, change_contrast
from tl_toolkit.data.draws import (
    ERASING,
    LIGHT,
    QUARTER_TURN,
    RAND_AUGMENT,
    VIEW,
    between,
    draw_key,
    fold,
)
from tl_toolkit.data.erasing import erase_rectangle
from tl_toolkit.data.geometry import quarter_turn, random_view_window, reversed_where
from tl_toolkit.data.lazy_image import LazyImage, lazy_image_of
from tl_toolkit.data.rand_augment import rand_augment
from tl_toolkit.data.resize import (
    border_of,
    resample_window,
    resize_for_evaluation,
    view_window,
)


def coarse_from(augmentation: Augmentation | None, image_size: int) -> float:
    """Returns the shorter side, in pixels, from which coarse decoding of a JPEG may be enough for a view."""
    if augmentation is None:
        return 2.0 * image_size
    return 2 * image_size * augmentation.resolution / max(1.0, math.sqrt(augmentation.area[1]))


def augment_and_resize(
    image: LazyImage | tf.Tensor,
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
    seed: int,
    image_id: tf.Tensor,
    view: tf.Tensor,
) -> tf.Tensor:
    """Returns one random view of an image; mixing with another one comes after (`data/mixing.py`).

    Args:
        image: A `LazyImage`, or uint8[height, width, 3].
        augmentation: The preset; None gives the evaluation view.
        preprocessing: Gives the size and the interpolation.
        seed: Of the run.
        image_id: int64[], the image's number in its data set.
        view: int64[], the epoch, or the number of the stored view.

    Returns:
        float32[size, size, 3], 0-255; the same arguments give the same pixels.
    """
    if augmentation is None:
        return resize_for_evaluation(image, preprocessing)
    key = draw_key(seed, VIEW, image_id, view)
    u = tf.unstack(tf.random.stateless_uniform([6], key))
    lazy_image = lazy_image_of(image)
    window = random_view_window(augmentation, preprocessing.resize, *lazy_image.sides(), u[:4])
    size, interpolation = preprocessing.image_size, preprocessing.interpolation
    border = border_of(preprocessing)
    if augmentation.resolution < 1:
        # Made small here, enlarged below: the window is then the whole small image.
        small = tf.cast(tf.round(size * between(augmentation.resolution, 1.0, u[5])), tf.int32)
        small_view = view_window(lazy_image, window, small, interpolation, border)
        whole = (0.0, 0.0, tf.cast(small, tf.float32), tf.cast(small, tf.float32))
        pixels = resample_window(small_view, whole, size, interpolation)
    else:
        pixels = view_window(lazy_image, window, size, interpolation, border)
    if augmentation.mirror:
        pixels = reversed_where(u[4] < 0.5, pixels, axis=1)
    if augmentation.flip:
        # A draw of its own, so that the views of the other presets stay what they were.
        upside_down = tf.random.stateless_uniform([], key + 1) < 0.5
        pixels = reversed_where(upside_down, pixels, axis=0)
    if augmentation.quarter_turns:
        pixels = quarter_turn(pixels, tf.random.stateless_uniform([], fold(key, QUARTER_TURN)))
    return _recoloured(tf.clip_by_value(pixels, 0.0, 255.0), augmentation, key)


def _recoloured(pixels: tf.Tensor, augmentation: Augmentation, key: tf.Tensor) -> tf.Tensor:
    """What is done to a view once it is cut out, in the order of what light, camera and chance do to it."""
    if augmentation.brightness or augmentation.contrast:
        u = tf.random.stateless_uniform([2], fold(key, LIGHT), -1.0, 1.0)
        pixels = change_brightness(pixels, 1 + augmentation.brightness * u[0])
        pixels = change_contrast(pixels, 1 + augmentation.contrast * u[1])
    if augmentation.operations:
        pixels = rand_augment(
            pixels, augmentation.operations, augmentation.magnitude, fold(key, RAND_AUGMENT)
        )
    if augmentation.erasing:
        pixels = erase_rectangle(pixels, augmentation.erasing, fold(key, ERASING))
    return pixels
