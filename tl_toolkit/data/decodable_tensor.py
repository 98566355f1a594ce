"""Photos in other formats, inside a pipeline of TensorFlow's."""

from __future__ import annotations

import tensorflow as tf

from tl_toolkit.data.other_formats import DECODED_BY_TENSORFLOW, as_png


def decodable_tensor(contents: tf.Tensor) -> tf.Tensor:
    """As `decodable`, string[], for pipelines in this process: another format is converted by Python."""
    header = tf.strings.join([tf.strings.substr(contents, 0, 12), b"\0" * 12])

    def starts_with(magic: bytes, at: int = 0) -> tf.Tensor:
        return tf.equal(tf.strings.substr(header, at, len(magic)), magic)

    known = [starts_with(magic) for magic in DECODED_BY_TENSORFLOW]
    known.append(starts_with(b"RIFF") & starts_with(b"WEBP", 8))
    return tf.cond(
        tf.reduce_any(known),
        lambda: contents,
        lambda: tf.ensure_shape(
            tf.numpy_function(as_png, [contents], tf.string, stateful=False), ()
        ),
    )
