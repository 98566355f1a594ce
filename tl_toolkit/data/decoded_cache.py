"""Small images that are needed in every epoch are decoded once and held in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import CROP, LETTERBOX
from tl_toolkit.data.dataset import ArrayImages, Images
from tl_toolkit.data.lazy_image import DecodedImage, LazyImage
from tl_toolkit.data.parallelism import PARALLEL_CALLS, without_autotuning
from tl_toolkit.progress import SILENT, Progress

DECODED_CACHE_BYTES = 512 * 2**20  # of decoded images
DECODING = "Decoding images"


def decoded_loader(
    images: Images,
    coarse_from: float,
    limit: int = DECODED_CACHE_BYTES,
    resize: str = CROP,
    progress: Progress = SILENT,
) -> Callable[[tf.Tensor], LazyImage]:
    """Returns a loader of decoded images, or the images' own for views where they cannot be kept.

    Args:
        images: Any.
        coarse_from: JPEGs with a shorter side of this many pixels or more are not kept: how coarsely they
            may be decoded depends on the view.
        limit: Bytes that all pixels may take.
        resize: How images are made square: in a letterbox, it is the longer side.
        progress: Shows how many are decoded.
    """
    load, fitted = images.view_loader(), max if resize == LETTERBOX else min
    if isinstance(images, ArrayImages):
        return load

    @tf.autograph.experimental.do_not_convert
    def decode(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        lazy_image = load(number)
        return lazy_image.pixels(), lazy_image.is_jpeg

    decoded = without_autotuning(
        tf.data.Dataset.range(len(images)).map(decode, PARALLEL_CALLS, deterministic=True)
    )
    buffer = np.empty(limit, np.uint8)  # takes no memory before it is written to
    ends, shapes = [0], []
    with progress.stage(DECODING, total=len(images)) as stage:
        for pixels, is_jpeg in decoded.as_numpy_iterator():
            end = ends[-1] + pixels.size
            if end > limit or (is_jpeg and fitted(pixels.shape[:2]) >= coarse_from):
                return load
            buffer[ends[-1] : end] = pixels.ravel()
            ends.append(end)
            shapes.append(pixels.shape)
            stage.advance()
    with tf.device("CPU:0"):
        all_pixels, shapes = tf.constant(buffer[: ends[-1]]), tf.constant(shapes)
        starts, ends = tf.constant(ends[:-1]), tf.constant(ends[1:])

    def load_decoded(number: tf.Tensor) -> LazyImage:
        pixels = tf.reshape(all_pixels[starts[number] : ends[number]], shapes[number])
        return DecodedImage(tf.ensure_shape(pixels, (None, None, 3)))

    return load_decoded
