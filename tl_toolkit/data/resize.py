"""Resizing to the square that a network takes: one resampling for training, evaluation and serving."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tl_toolkit.catalog import LETTERBOX, SQUASH, Preprocessing
from tl_toolkit.data.decodable_tensor import decodable_tensor
from tl_toolkit.data.decode import ANY_FORMAT, JPEG_MAGIC, common_format
from tl_toolkit.data.lazy_image import EncodedLazyImage, LazyImage, Window, lazy_image_of
from tl_toolkit.data.parallelism import PARALLEL_CALLS
from tl_toolkit.data.png_in_range import png_in_range

SERVED_AT_ONCE = 10  # images of a request, whatever machine exported the graph
GREY = 128.0  # beside an image in a letterbox
KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}


def resample_window(
    image: tf.Tensor,
    window: Window,
    size: int | tf.Tensor,
    interpolation: str,
    border: float = 0.0,
) -> tf.Tensor:
    """Cuts a window out of an image and resizes it, antialiased, in one pass.

    Args:
        image: uint8 or float32[height, width, 3].
        window: float32 (top, left, height, width) in the image's pixels; it may reach over the border.
        size: Side of the result in pixels.
        interpolation: `"bilinear"` or `"bicubic"`.
        border: What pixels behind the border count as.

    Returns:
        float32[size, size, 3].
    """
    top, left, height, width = window
    side = tf.cast(size, tf.float32)
    scale = tf.stack([side / height, side / width])
    translation = -tf.cast(tf.stack([top, left]), tf.float32) * scale
    if border:  # the operation puts 0 there
        image = tf.cast(image, tf.float32) - border
    resampled = tf.raw_ops.ScaleAndTranslate(
        images=image[None],
        size=tf.stack([size, size]),
        scale=scale,
        translation=translation,
        kernel_type=KERNELS[interpolation],
        antialias=True,
    )[0]
    if border:
        resampled += border
    static_size = size if isinstance(size, int) else None
    return tf.ensure_shape(resampled, (static_size, static_size, 3))


def view_window(
    lazy_image: LazyImage,
    window: Window,
    size: int | tf.Tensor,
    interpolation: str,
    border: float = 0.0,
) -> tf.Tensor:
    """As `resample_window`, for an image that may not be decoded yet.

    A JPEG much larger than the result is decoded at a half, a quarter or an eighth of its size, whichever
    still has enough pixels: by its own transform, which is close to resampling and much cheaper.
    """
    pixels, window = lazy_image.region(window, size)
    return resample_window(pixels, window, size, interpolation, border)


def border_of(preprocessing: Preprocessing) -> float:
    """Returns what lies beside an image that is made square: grey in a letterbox."""
    return GREY if preprocessing.resize == LETTERBOX else 0.0


def evaluation_window(height: tf.Tensor, width: tf.Tensor, preprocessing: Preprocessing) -> Window:
    """The window of evaluation, in the image's own pixels; float32 (top, left, height, width).

    Cropping, it is the one that torchvision and timm cut: they resize the shorter side to `image_size /
    crop_fraction` and cut the centre out. Letterboxing, the longer side is resized so, and squashing both.

    Args:
        height: float32[] of the image.
        width: float32[] of the image.
        preprocessing: Gives the size, the fraction, and how the image is made square.
    """
    size = preprocessing.image_size
    side = round(size / preprocessing.crop_fraction)
    if preprocessing.resize == SQUASH:
        resized_height = resized_width = tf.constant(float(side))
    else:
        fitted = tf.maximum if preprocessing.resize == LETTERBOX else tf.minimum
        ratio = side / fitted(height, width)
        # They round the resized sides down to whole pixels, and the offsets to the nearest.
        resized_height = tf.maximum(tf.floor(height * ratio + 1e-4), 1.0)
        resized_width = tf.maximum(tf.floor(width * ratio + 1e-4), 1.0)
    top = tf.round((resized_height - size) / 2)
    left = tf.round((resized_width - size) / 2)
    vertical, horizontal = height / resized_height, width / resized_width
    return top * vertical, left * horizontal, size * vertical, size * horizontal


def resize_for_evaluation(image: LazyImage | tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Turns an image into float32[size, size, 3], 0-255, without randomness.

    Args:
        image: A `LazyImage`, or raw pixels [height, width, 3], 0-255.
        preprocessing: Gives the size, the crop and the interpolation.
    """
    lazy_image = lazy_image_of(image)
    window = evaluation_window(*lazy_image.sides(), preprocessing)
    resized = view_window(
        lazy_image,
        window,
        preprocessing.image_size,
        preprocessing.interpolation,
        border_of(preprocessing),
    )
    return tf.clip_by_value(resized, 0.0, 255.0)  # bicubic overshoots


def resize_files_for_evaluation(encoded: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Turns files' contents, string[n], into float32[n, size, size, 3], RGB, 0-255.

    Where the preprocessing has a value range, PNG files of 16-bit greys are scaled by it; others count as scaled already.
    """
    encoded = tf.convert_to_tensor(encoded)
    known = common_format(encoded.numpy()) if tf.executing_eagerly() else ANY_FORMAT
    return _resize_all(preprocessing, tf.TensorSpec([None], tf.string), _at_once(), known)(encoded)


def resize_each_for_evaluation(images: Sequence[Any], preprocessing: Preprocessing) -> tf.Tensor:
    """As `resize_files_for_evaluation` and `resize_pixels_for_evaluation`, bit for bit, without tracing a graph for it.

    An image takes 2 ms more than in a graph, and a graph 0.1 s to trace: for a few images.

    Args:
        images: Files' contents, or uint8 or float32[height, width, 3] of any sizes, 0-255; at least one.
        preprocessing: Gives the size, the crop and the interpolation.
    """
    tensors = [tf.convert_to_tensor(image) for image in images]
    view = functools.partial(_view, preprocessing=preprocessing)
    # Threads that call a function for the first time at once would each optimise it.
    first = view(tensors[0])
    with concurrent.futures.ThreadPoolExecutor(PARALLEL_CALLS) as threads:
        return tf.stack([first, *threads.map(view, tensors[1:])])


def resize_paths_for_evaluation(
    paths: tf.Tensor, preprocessing: Preprocessing, known: bytes = ANY_FORMAT
) -> tf.Tensor:
    """As `resize_files_for_evaluation`, of files' paths, string[n]: only so many files are held in memory.

    Formats that TensorFlow does not decode are converted, see `decodable_tensor`. For preprocessing without a value range.

    Args:
        paths: Of the files.
        preprocessing: Gives the size, the crop and the interpolation.
        known: What all of them are: `common_format`.

    Raises:
        tf.errors.OpError: A file cannot be read, converted or decoded.
    """
    spec = tf.TensorSpec([None], tf.string)
    return _resize_all(preprocessing, spec, _at_once(), known, are_paths=True)(paths)


def resize_pixels_for_evaluation(images: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Turns uint8 or float32[n, height, width, 3], 0-255, into float32[n, size, size, 3]."""
    spec = tf.TensorSpec([None, None, None, 3], images.dtype)
    return _resize_all(preprocessing, spec, _at_once(), ANY_FORMAT)(images)


def _at_once() -> int:
    """Images side by side: as many as this machine has cores, or those of an exported graph."""
    return PARALLEL_CALLS if tf.executing_eagerly() else SERVED_AT_ONCE


@functools.lru_cache(maxsize=32)
def _resize_all(
    preprocessing: Preprocessing,
    spec: tf.TensorSpec,
    at_once: int,
    known: bytes,
    are_paths: bool = False,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function of a batch, traced once, whoever evaluates or serves."""
    side = preprocessing.image_size

    def view(image: tf.Tensor) -> tf.Tensor:
        if are_paths:
            image = tf.io.read_file(image)
            image = decodable_tensor(image) if known == ANY_FORMAT else image
        return _view(image, preprocessing, known, are_paths)

    @tf.function(input_signature=[spec], autograph=False)
    def resize_all(images: tf.Tensor) -> tf.Tensor:
        resized = tf.TensorSpec((side, side, 3), tf.float32)
        return tf.map_fn(view, images, fn_output_signature=resized, parallel_iterations=at_once)

    return resize_all


def _view(
    image: tf.Tensor,
    preprocessing: Preprocessing,
    known: bytes = ANY_FORMAT,
    is_scaled: bool = False,
) -> tf.Tensor:
    """Returns what a network sees of an image, float32[size, size, 3].

    Args:
        image: Raw pixels, or a file's contents, string[].
        preprocessing: Gives the size, the crop and the interpolation.
        known: What files are: `common_format`.
        is_scaled: A file's values need no scaling by the preprocessing's value range.
    """
    if image.dtype != tf.string:
        return resize_for_evaluation(image, preprocessing)
    if preprocessing.value_range is not None and known != JPEG_MAGIC and not is_scaled:
        image = png_in_range(preprocessing.value_range)(image)
    return resize_for_evaluation(EncodedLazyImage(image, known), preprocessing)
