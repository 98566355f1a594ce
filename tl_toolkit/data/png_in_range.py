"""A range of values by TensorFlow operations alone, for graphs that serve without this toolkit."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.decode import apply_orientation
from tl_toolkit.data.exif import chunk_orientation
from tl_toolkit.data.other_formats import QUICK
from tl_toolkit.data.value_range import (
    BITS_AT,
    COLOUR_AT,
    GREY,
    LARGEST_UINT16,
    PNG_MAGIC,
    SIXTEEN_BITS,
    scaled_values,
)


def is_deep_grey_png_tensor(contents: tf.Tensor) -> tf.Tensor:
    """As `is_deep_grey_png`, string[] to bool[]."""
    # Padded, so that a file of a few bytes can be asked for its header.
    header = tf.strings.join([tf.strings.substr(contents, 0, COLOUR_AT + 1), b"\0" * 26])
    starts = tf.equal(tf.strings.substr(header, 0, len(PNG_MAGIC)), PNG_MAGIC)
    of_header = tf.strings.substr(header, BITS_AT, 2)
    return starts & tf.equal(of_header, bytes((SIXTEEN_BITS, GREY)))


@functools.lru_cache(maxsize=8)
def png_in_range(value_range: ValueRange) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that scales 16-bit grey PNG files.

    It takes and returns a file's contents, string[]: a PNG of 8 bits, upright, with the values of `scaled_values`; any other
    file as it is.
    """
    levels = scaled_values(np.arange(LARGEST_UINT16 + 1), value_range)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def in_range(contents: tf.Tensor) -> tf.Tensor:
        def scaled() -> tf.Tensor:
            values = tf.io.decode_png(contents, channels=1, dtype=tf.uint16)
            grey = tf.gather(tf.constant(levels), tf.cast(values, tf.int32))
            orientation = chunk_orientation(contents, tf.constant(True))
            upright = apply_orientation(tf.tile(grey, (1, 1, 3)), orientation)
            return tf.io.encode_png(tf.ensure_shape(upright, (None, None, 3)), compression=QUICK)

        return tf.cond(is_deep_grey_png_tensor(contents), scaled, lambda: contents)

    return in_range
