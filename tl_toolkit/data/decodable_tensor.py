"""Photos in other formats, inside a pipeline of TensorFlow's."""

from __future__ import annotations

import tensorflow as tf

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.other_formats import DECODED_BY_TENSORFLOW, as_png
from tl_toolkit.data.png_in_range import is_deep_grey_png_tensor


def decodable_tensor(contents: tf.Tensor, value_range: ValueRange | None = None) -> tf.Tensor:
    """As `decodable`, string[], for pipelines in this process: another format is converted by Python.

    Photos that a range is not for are let through: opening them has refused them.
    """
    header = tf.strings.join([tf.strings.substr(contents, 0, 12), b"\0" * 12])

    def starts_with(magic: bytes, at: int = 0) -> tf.Tensor:
        return tf.equal(tf.strings.substr(header, at, len(magic)), magic)

    known = [starts_with(magic) for magic in DECODED_BY_TENSORFLOW]
    known.append(starts_with(b"RIFF") & starts_with(b"WEBP", 8))
    is_kept = tf.reduce_any(known)
    if value_range is not None:
        is_kept &= ~is_deep_grey_png_tensor(contents)

    def converted() -> tf.Tensor:
        png = tf.numpy_function(
            lambda photo: as_png(photo, value_range), [contents], tf.string, stateful=False
        )
        return tf.ensure_shape(png, ())

    return tf.cond(is_kept, lambda: contents, converted)
