"""Small images that are gone over again and again are decoded once and held in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tl_toolkit.data.dataset import ArrayImages, Images
from tl_toolkit.data.picture import Picture, Pixels

KEPT_BYTES = 512 * 2**20  # of decoded images


def kept_loader(
    images: Images, image_size: int, limit: int = KEPT_BYTES
) -> Callable[[tf.Tensor], Picture]:
    """Returns a loader of images that are decoded already, or their own where they do not fit.

    Photos of twice the size that the network takes are not kept: of those a coarse decoding is enough, and
    which one depends on the view.

    Args:
        images: Any.
        image_size: Side in pixels that the network takes.
        limit: Bytes that all pixels may take.
    """
    load = images.loader()
    if isinstance(images, ArrayImages):
        return load
    decoded = tf.data.Dataset.range(len(images)).map(
        tf.autograph.experimental.do_not_convert(lambda number: load(number).pixels()),
        tf.data.AUTOTUNE,
        deterministic=True,
    )
    kept: list[np.ndarray] = []
    size = 0
    for pixels in decoded.as_numpy_iterator():
        size += pixels.size
        if size > limit or min(pixels.shape[:2]) >= 2 * image_size:
            return load
        kept.append(pixels)
    all_pixels = tf.constant(np.concatenate([pixels.ravel() for pixels in kept]))
    ends = np.cumsum([pixels.size for pixels in kept])
    starts, ends = tf.constant(ends - [pixels.size for pixels in kept]), tf.constant(ends)
    shapes = tf.constant([pixels.shape for pixels in kept])

    def load_kept(number: tf.Tensor) -> Picture:
        pixels = tf.reshape(all_pixels[starts[number] : ends[number]], shapes[number])
        return Pixels(tf.ensure_shape(pixels, (None, None, 3)))

    return load_kept
