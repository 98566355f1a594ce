"""Small images that are needed in every epoch are decoded once and held in memory."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import CROP, LETTERBOX
from tl_toolkit.data.dataset import ArrayImages, Images
from tl_toolkit.data.decode import JPEG_MAGIC, decode_image
from tl_toolkit.data.lazy_image import DecodedImage, LazyImage
from tl_toolkit.data.parallelism import FILES_AT_ONCE, PARALLEL_CALLS
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
    if isinstance(images, ArrayImages):
        return images.view_loader()

    fitted = max if resize == LETTERBOX else min
    buffer = np.empty(limit, np.uint8)  # takes no memory before it is written to
    ends, shapes = [0], []
    with progress.stage(DECODING, total=len(images)) as stage:
        for pixels, is_jpeg in _decoded(images):
            end = ends[-1] + pixels.size
            if end > limit or (is_jpeg and fitted(pixels.shape[:2]) >= coarse_from):
                return images.view_loader()
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


def _decoded(images: Images) -> Iterator[tuple[np.ndarray, bool]]:
    """Yields pixels, uint8[height, width, 3], of all images in order, and whether they are JPEGs.

    By functions that a process traces once, of the formats at hand: a pipeline's graph of all formats takes longer to
    begin than to decode a few hundred small photos.
    """
    contents_of = images.view_contents()

    def decode(number: int) -> tuple[np.ndarray, bool]:
        contents = contents_of(number)
        with tf.device("CPU:0"):
            return decode_image(tf.constant(contents)).numpy(), contents.startswith(JPEG_MAGIC)

    positions = range(len(images))
    # The first one alone: threads that come first together would each trace.
    yield from map(decode, positions[:1])
    with concurrent.futures.ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        for start in positions[1::FILES_AT_ONCE]:
            yield from pool.map(decode, positions[start : start + FILES_AT_ONCE])
