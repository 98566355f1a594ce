"""Large photos as augmented views need them: shrunk, and written as JPEGs that are nearly the same."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import threading
import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from PIL import Image

from tl_toolkit.catalog import Augmentation
from tl_toolkit.data.lazy_image import SCALES, EncodedLazyImage
from tl_toolkit.data.other_formats import PixelError

VERSION = 2  # of the bytes that a photo becomes
LEAST_SIDE = 512  # pixels: enough for every preset but "strong" at 224
SIDE_STEP = 256
QUALITY = 95  # with colour at full resolution: some 45 dB of a photo, 36 of noise

_TRACING = threading.Lock()  # threads that come first together would each trace a function


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
    """Whether a photo's sides are twice what is enough, or more, by its header; one that Pillow does not know is not large.

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


def shrunk_file(contents: bytes, side: int) -> bytes:
    """As `shrunk`, of a file's contents: for threads, also for those that come first together."""
    with _TRACING:
        shrink = _ready_to_shrink()
    # An array, of which the contents are copied once: of bytes themselves a constant takes four times as long.
    return shrink(tf.constant(np.array(contents, object)), tf.constant(side)).numpy()


@functools.cache
def _ready_to_shrink() -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns `shrunk` once it was called: eight threads that called it first would each optimise its graph, in 5 seconds."""
    shrink = shrunk.get_concrete_function()
    shrink(tf.io.encode_jpeg(tf.zeros((8, 8, 3), tf.uint8)), tf.constant(1))
    return shrink


@tf.function(
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)], autograph=False
)
def shrunk(contents: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Returns a photo as a JPEG whose shorter side has `side` pixels, antialiased, upright.

    A large JPEG is decoded no finer than that needs. The same contents give the same bytes.

    Args:
        contents: string[], of a file in a format that TensorFlow decodes.
        side: int32[].

    Returns:
        string[].

    Raises:
        tf.errors.InvalidArgumentError: It is damaged.
    """
    photo = EncodedLazyImage(contents)
    height, width = photo.sides()
    pixels, _ = photo.region((0.0, 0.0, height, width), side)
    scale = tf.cast(side, tf.float32) / tf.minimum(height, width)
    sides = tf.cast(tf.round(tf.stack([height, width]) * scale), tf.int32)
    # By areas: as near to the photo as the antialiased kernels of TensorFlow, in a third of their time.
    resized = tf.image.resize(pixels, sides, "area")
    return tf.io.encode_jpeg(
        tf.cast(tf.round(resized), tf.uint8), quality=QUALITY, chroma_downsampling=False
    )
