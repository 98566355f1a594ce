"""How a camera was held, from the EXIF data of a JPEG, PNG or WebP file, by TensorFlow operations alone.

References: JEITA CP-3451C (Exif 2.3), sections 4.5 and 4.7; TIFF 6.0 for the directory; W3C, PNG (Third Edition), 11.3.4.6;
RFC 9649 for WebP.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

ORIENTATION_TAG = 0x0112
START_OF_SCAN, APP1 = 0xDA, 0xE1
EXIF_LETTERS = b"Exif\0\0"
EXIF_SEGMENT = np.array([-1, APP1, -1, -1, *EXIF_LETTERS], np.int32)  # its first bytes; -1: any
# The standard puts EXIF first, at most behind JFIF: two segments, of under 64 KiB each.
EXIF_SEARCH_BYTES = 1 << 17
MOST_EXIF_BYTES = 1 << 16  # of a PNG or a WebP file's, as a JPEG's could have
# By these the eight bytes of a chunk's head are multiplied to give its length and its name, as numbers.
BIG_ENDIAN = [1 << 24, 1 << 16, 1 << 8, 1]
PNG_HEAD = np.array([[*BIG_ENDIAN, 0, 0, 0, 0], [0, 0, 0, 0, *BIG_ENDIAN]])
WEBP_HEAD = np.array([[0, 0, 0, 0, *BIG_ENDIAN[::-1]], [*BIG_ENDIAN, 0, 0, 0, 0]])
# Where the first chunk is; the name of the one with EXIF data; the name of one that it never stands behind (-1: none); to a
# multiple of how many bytes contents are filled up; how many bytes follow on them.
PNG = np.array([8, int.from_bytes(b"eXIf"), int.from_bytes(b"IDAT"), 1, 4])
WEBP = np.array([12, int.from_bytes(b"EXIF"), -1, 2, 0])

# Traced once a process, whatever calls them from graphs of their own.
once_traced = tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


@once_traced
def exif_orientation(jpeg: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation of a JPEG file.

    Args:
        jpeg: string[], the file's contents.

    Returns:
        int32[], 1 to 8; 1 where there is none or it makes no sense.

    Reference: JEITA CP-3451C (Exif 2.3), sections 4.5 and 4.7; TIFF 6.0 for the directory.
    """
    # Whoever decodes has to wait for this graph to be optimised: hence few operations, of several bytes each.
    start_of_file = tf.strings.substr(jpeg, 0, EXIF_SEARCH_BYTES)
    header = tf.io.decode_raw(tf.strings.join([start_of_file, b"\0"]), tf.uint8)
    size = tf.size(header) - 1

    def bytes_at(indices: tf.Tensor) -> tf.Tensor:  # behind the end: 0
        return tf.cast(tf.gather(header, tf.minimum(indices, size)), tf.int32)

    def segment_at(start: tf.Tensor) -> tf.Tensor:
        return bytes_at(start + tf.range(10))

    def holds_exif(segment: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(tf.equal(segment, EXIF_SEGMENT) | (EXIF_SEGMENT < 0))

    def is_other_segment(start: tf.Tensor, segment: tf.Tensor) -> tf.Tensor:
        is_segment = tf.equal(segment[0], 0xFF) & (start + 4 < size)
        return is_segment & tf.not_equal(segment[1], START_OF_SCAN) & ~holds_exif(segment)

    def next_segment(start: tf.Tensor, segment: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A length counts its own two bytes; less is damage, and 2 moves on all the same.
        length = segment[2] * 256 + segment[3]
        start += 2 + tf.maximum(length, 2)
        return start, segment_at(start)

    first = tf.constant(2)
    start, segment = tf.while_loop(is_other_segment, next_segment, (first, segment_at(first)))
    orientation = _orientation_in(header, start + 10)
    return tf.where(holds_exif(segment), orientation, 1)


@tf.function(
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.bool)], autograph=False
)
def chunk_orientation(contents: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    """As `exif_orientation`, of a PNG file whose EXIF data stand before its pixels, or of a WebP file.

    Both are made of chunks, so that one walk, and one graph, reads both as far as the chunk that is wanted.

    Args:
        contents: string[], of the file.
        is_png: bool[]; if not, it is a WebP file.
    """
    size = tf.cast(tf.strings.length(contents), tf.int64)
    places = tf.where(is_png, PNG_HEAD, WEBP_HEAD)
    first, wanted, last, multiple, behind = tf.unstack(tf.where(is_png, PNG, WEBP))

    def chunk_at(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        head = tf.cast(tf.io.decode_raw(_part(contents, start, 8), tf.uint8), tf.int64)
        length, name = tf.unstack(tf.reduce_sum(head * places, axis=1))
        return start, name, length + length % multiple

    def is_another(start: tf.Tensor, name: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        return (start + 8 < size) & tf.not_equal(name, wanted) & tf.not_equal(name, last)

    def next_chunk(
        start: tf.Tensor, name: tf.Tensor, length: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return chunk_at(start + 8 + length + behind)

    start, name, length = tf.while_loop(is_another, next_chunk, chunk_at(first))
    exif = _part(contents, start + 8, tf.minimum(length, MOST_EXIF_BYTES))
    # Some writers put a JPEG's letters before it.
    has_letters = tf.equal(tf.strings.substr(exif, 0, len(EXIF_LETTERS)), EXIF_LETTERS)
    header = tf.io.decode_raw(tf.strings.join([exif, b"\0"]), tf.uint8)
    orientation = _orientation_in(header, tf.where(has_letters, len(EXIF_LETTERS), 0))
    return tf.where(tf.equal(name, wanted), orientation, 1)


def _part(contents: tf.Tensor, start: tf.Tensor, length: tf.Tensor | int) -> tf.Tensor:
    """Returns a part of a file; behind its end zeros that fill it up to a `length` that is a number, or nothing."""
    size = tf.strings.length(contents)
    start = tf.cast(tf.minimum(start, tf.cast(size, tf.int64)), tf.int32)
    part = tf.strings.substr(contents, start, tf.cast(length, tf.int32))
    if isinstance(length, int):
        part = tf.strings.substr(tf.strings.join([part, b"\0" * length]), 0, length)
    return part


@tf.function(
    input_signature=[tf.TensorSpec([None], tf.uint8), tf.TensorSpec([], tf.int32)], autograph=False
)
def _orientation_in(header: tf.Tensor, tiff: tf.Tensor) -> tf.Tensor:
    """Reads the orientation from a TIFF directory.

    Args:
        header: uint8[n], bytes that hold it, and a zero behind them.
        tiff: int32[], where the TIFF header starts in them.

    Returns:
        int32[], 1 to 8; 1 where there is none or it makes no sense.
    """
    size = tf.size(header) - 1

    def bytes_at(indices: tf.Tensor) -> tf.Tensor:  # behind the end: 0
        return tf.cast(tf.gather(header, tf.minimum(indices, size)), tf.int32)

    is_little = tf.equal(bytes_at(tiff), ord("I"))
    places = tf.where(is_little, [1, 256], [256, 1])

    def number16(index: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(bytes_at(index[..., None] + [0, 1]) * places, -1)

    # An offset has 32 bits; over 16 it points outside the header.
    directory = tiff + number16(tiff + tf.where(is_little, 4, 6))
    entries = directory + 2 + 12 * tf.range(tf.minimum(number16(directory), 256))
    is_orientation = tf.equal(number16(entries), ORIENTATION_TAG)
    value = tf.reduce_max(tf.where(is_orientation, number16(entries + 8), 0))
    return tf.where((value >= 1) & (value <= 8), value, 1)
