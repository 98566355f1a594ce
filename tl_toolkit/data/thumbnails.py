"""Small pictures by which photos are compared and judged, without ever holding a whole one."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.other_formats import PixelError, decodable
from tl_toolkit.data.shrunk_photos import LEAST_SIDE, is_large, shrunk_file
from tl_toolkit.errors import InputError

SIDE = 32  # pixels of a thumbnail
DECODED_SIDE = 64  # least side that a JPEG is decoded at, where it has as much
NUMBERS = SIDE * SIDE + 3  # grey levels, and the mean of red, green and blue


def thumbnail_of_file(contents: bytes, value_range: ValueRange | None = None) -> np.ndarray | None:
    """Returns what `thumbnail` does of a file's contents; None where Pillow cannot read it.

    Of a large photo it is that of its shrunk copy, whether that is kept or not.

    Args:
        contents: Of the file.
        value_range: See `decodable`.
    """
    with contextlib.suppress(InputError, tf.errors.OpError):
        readable = decodable(contents, value_range)
        is_shrunk = is_large(readable, LEAST_SIDE)
        return thumbnail_of_readable(shrunk_file(readable, LEAST_SIDE) if is_shrunk else readable)
    return None


def thumbnail_of_readable(contents: bytes) -> np.ndarray | None:
    """As `thumbnail_of_file`, of a file in a format that TensorFlow decodes, as it is.

    A JPEG is decoded at a fraction of its size, which takes a fraction of the time.
    """
    with (
        contextlib.suppress(UnidentifiedImageError, *PixelError),
        warnings.catch_warnings(action="ignore"),
        Image.open(io.BytesIO(contents)) as image,
    ):
        return thumbnail(small_rgb(image))
    return None


def small_rgb(image: Image.Image) -> Image.Image:
    """Decodes an opened image as RGB, transparency laid on white, 16 bits reduced to 8.

    A JPEG comes at the coarsest of its scales with `DECODED_SIDE` pixels a side, other formats as they are.

    Raises:
        OSError: And the other errors of `PixelError`: it is damaged.
    """
    image.draft("RGB", (DECODED_SIDE, DECODED_SIDE))
    if image.mode.startswith("I"):
        levels = np.asarray(image, np.int64)
        image = Image.fromarray(np.clip(levels // 257, 0, 255).astype(np.uint8))
    if "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(image, mask=image.getchannel("A"))
        return opaque
    return image.convert("RGB")


def thumbnail(image: Image.Image) -> np.ndarray:
    """Returns uint8[NUMBERS]: the image as `SIDE` x `SIDE` grey levels, whatever its shape, then its mean colour."""
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.HAMMING)
    colour = image.resize((1, 1), Image.Resampling.BOX)
    return np.concatenate([np.asarray(grey).ravel(), np.asarray(colour).ravel()])
