"""Augmentation as a pure function of (seed, image, view): no hidden generator, so runs repeat."""

from __future__ import annotations

import math

import tensorflow as tf

from tl_toolkit.catalog import Augmentation, Preprocessing
from tl_toolkit.data.lazy_image import LazyImage, lazy_image_of
from tl_toolkit.data.resize import resample_window, resize_for_evaluation, view_window


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
    """Returns one random view of an image.

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
    key = tf.constant([seed, 0x4155], tf.int64)
    for number in (image_id, view):
        # Cast, because an int32 of the same value folds to another key.
        key = tf.random.experimental.stateless_fold_in(key, tf.cast(number, tf.int64))
    u = tf.unstack(tf.random.stateless_uniform([6], key))
    lazy_image = lazy_image_of(image)
    height, width = lazy_image.sides()

    def between(low: float, high: float, fraction: tf.Tensor) -> tf.Tensor:
        return low + (high - low) * fraction

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
    size, interpolation = preprocessing.image_size, preprocessing.interpolation
    window = (top, left, window_height, window_width)
    if augmentation.resolution < 1:
        # Made small here, enlarged below: the window is then the whole small image.
        small = tf.cast(tf.round(size * between(augmentation.resolution, 1.0, u[5])), tf.int32)
        small_view = view_window(lazy_image, window, small, interpolation)
        whole = (0.0, 0.0, tf.cast(small, tf.float32), tf.cast(small, tf.float32))
        view_pixels = resample_window(small_view, whole, size, interpolation)
    else:
        view_pixels = view_window(lazy_image, window, size, interpolation)
    if augmentation.mirror:
        view_pixels = tf.where(u[4] < 0.5, view_pixels[:, ::-1], view_pixels)
    if augmentation.flip:
        # A draw of its own, so that the views of the other presets stay what they were.
        upside_down = tf.random.stateless_uniform([], key + 1) < 0.5
        view_pixels = tf.where(upside_down, view_pixels[::-1], view_pixels)
    return tf.clip_by_value(view_pixels, 0.0, 255.0)
