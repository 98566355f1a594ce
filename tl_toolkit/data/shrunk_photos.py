"""Large photos as augmented views need them: shrunk by a whole factor, and written as JPEGs that are nearly the same."""

from __future__ import annotations

import contextlib
import io
import math
import warnings

import tensorflow as tf
from PIL import Image

from tl_toolkit.catalog import Augmentation
from tl_toolkit.data.lazy_image import SCALES, EncodedLazyImage
from tl_toolkit.data.thumbnails import PixelError

LEAST_SIDE = 512  # pixels: enough for every preset but "strong" at 224
SIDE_STEP = 256
# Without halved colour. Its coarsest step is 5 levels of 256, so that even of noise it keeps over 40 dB.
QUALITY = 98


def side_for_views(augmentation: Augmentation, image_size: int) -> int:
    """Returns how many pixels of a photo's shorter side the smallest window needs, so that it is not enlarged.

    Args:
        augmentation: Gives the smallest window.
        image_size: Side of a view.
    """
    narrowest, widest = augmentation.aspect_ratio
    smallest = math.sqrt(augmentation.area[0] * min(narrowest, 1 / widest))
    return max(LEAST_SIDE, SIDE_STEP * math.ceil(image_size / smallest / SIDE_STEP))


def is_large(photo: bytes | str, side: int) -> bool:
    """Whether half of a photo's sides is enough, by its header; one that Pillow does not know is not large.

    Args:
        photo: A file's contents, or its path.
        side: Pixels of the shorter side that are enough.
    """
    with (
        contextlib.suppress(*PixelError),
        warnings.catch_warnings(action="ignore"),
        Image.open(io.BytesIO(photo) if isinstance(photo, bytes) else photo) as opened,
    ):
        return min(opened.size) >= SCALES[1] * side
    return False


@tf.function(
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)], autograph=False
)
def shrunk(contents: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Returns a JPEG of half, a quarter or an eighth of a photo's sides, whichever is the least that leaves `side` pixels.

    A JPEG is shrunk by its own transform, to the pixels that views of that detail are cut from in any case; other
    formats by the mean of squares. The same contents give the same bytes.

    Args:
        contents: string[], of a file in a format that TensorFlow decodes.
        side: int32[], least number of pixels of the shorter side.

    Returns:
        string[], upright.

    Raises:
        tf.errors.InvalidArgumentError: It is damaged.
    """
    photo = EncodedLazyImage(contents)
    height, width = photo.sides()
    pixels, _ = photo.region((0.0, 0.0, height, width), side)
    # A JPEG has come out shrunk already.
    left = tf.where(photo.is_jpeg, 1, tf.reduce_min(tf.shape(pixels)[:2]) // side)
    factor = tf.reduce_max(tf.where(left >= SCALES, SCALES, 1))
    pixels = tf.cond(factor > 1, lambda: _mean_of_squares(pixels, factor), lambda: pixels)
    return tf.io.encode_jpeg(pixels, quality=QUALITY, chroma_downsampling=False)


def _mean_of_squares(pixels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Shrinks uint8[height, width, 3]; the last row and column may stand for less than a square."""
    squares = -(-tf.shape(pixels)[:2] // factor)
    beyond = squares * factor - tf.shape(pixels)[:2]
    padded = tf.pad(pixels, [[0, beyond[0]], [0, beyond[1]], [0, 0]], "SYMMETRIC")
    in_squares = tf.reshape(padded, (squares[0], factor, squares[1], factor, 3))
    sums = tf.reduce_sum(tf.cast(in_squares, tf.int32), (1, 3))
    area = factor * factor
    return tf.ensure_shape(tf.cast((sums + area // 2) // area, tf.uint8), (None, None, 3))
