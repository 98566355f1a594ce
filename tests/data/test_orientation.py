"""An orientation is what TensorFlow's graph reads from the same bytes, whatever they are."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scenes import jpeg, scene

from tl_toolkit.data import exif
from tl_toolkit.data.decode import apply_orientation
from tl_toolkit.data.orientation import jpeg_orientation, png_orientation, turned_upright


def tiff(order, value, entries=1, offset=8):
    def number(what, size):
        return what.to_bytes(size, "little" if order == b"II" else "big")

    other = number(0x0100, 2) + number(3, 2) + number(1, 4) + number(50, 2) + b"\0\0"
    entry = number(0x0112, 2) + number(3, 2) + number(1, 4) + number(value, 2) + b"\0\0"
    return order + number(42, 2) + number(offset, 4) + number(entries, 2) + other + entry


@st.composite
def headers(draw):
    """EXIF data that make sense, or nearly, in a JPEG's or a PNG's place, and cut or changed anywhere."""
    exif_data = tiff(
        draw(st.sampled_from([b"II", b"MM"])),
        draw(st.integers(0, 9)),
        draw(st.sampled_from([0, 1, 2, 300])),
        draw(st.sampled_from([8, 8, 8, 9, 60000])),
    )
    segment = b"Exif\0\0" + exif_data
    jfif = draw(st.sampled_from([b"", b"\xff\xe0\0\x10JFIF\0" + b"\0" * 9, b"\xff\xe0\0\0\0"]))
    end = draw(st.sampled_from([b"", b"\xff\xda\0\x08", b"\0" * 9]))
    as_jpeg = (
        b"\xff\xd8" + jfif + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + end
    )
    before = draw(st.sampled_from([b"", b"\0\0\0\x01tEXtx1234", b"\0\0\0\0IDAT1234"]))
    letters = draw(st.sampled_from([b"", b"Exif\0\0"]))
    chunk = (len(letters + exif_data)).to_bytes(4, "big") + b"eXIf" + letters + exif_data + b"1234"
    contents = bytearray(
        draw(st.sampled_from([as_jpeg, b"\x89PNG\r\n\x1a\n" + before + chunk + end]))
    )
    for _ in range(draw(st.integers(0, 2))):
        contents[draw(st.integers(0, len(contents) - 1))] = draw(st.integers(0, 255))
    return bytes(contents[: draw(st.integers(len(contents) // 2, len(contents)))])


@given(headers())
def test_it_is_what_the_graph_reads(contents):
    if contents.startswith(b"\x89PNG"):
        assert png_orientation(contents) == int(exif.chunk_orientation(tf.constant(contents), True))
    else:
        assert jpeg_orientation(contents) == int(exif.exif_orientation(tf.constant(contents)))


@pytest.mark.parametrize("way", range(1, 9))
def test_a_camera_s_photo_is_turned_as_the_graph_turns_it(way):
    assert jpeg_orientation(jpeg(scene(20, 30), way)) == way
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    expected = apply_orientation(tf.constant(pixels), tf.constant(way))
    np.testing.assert_array_equal(turned_upright(pixels, way), expected)
