"""Frames made without TensorFlow are those that the graphs make, and where they would not be, there are none."""

import dataclasses
import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from PIL import Image
from scenes import jpeg, scene

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.numpy_frames import evaluation_window, frame_of_file, frame_of_pixels
from tl_toolkit.data.resize import evaluation_window as window_in_tensorflow
from tl_toolkit.data.resize import resize_files_for_evaluation, resize_pixels_for_evaluation

RECORDS = {
    "crop": Preprocessing(image_size=64, crop_fraction=0.875),
    "bicubic": Preprocessing(image_size=65, crop_fraction=1.0, interpolation="bicubic"),
    "squash": Preprocessing(image_size=48, crop_fraction=0.9, resize="squash"),
    "letterbox": Preprocessing(image_size=48, resize="letterbox", interpolation="bicubic"),
}
ROUNDING = 2e-3  # of 255; a graph that is rearranged before it runs rounds positions otherwise


def encoded(pixels, kind, **options):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def files():
    rgb = scene(200, 150)
    alpha = scene(200, 150, 3)[..., :1]
    palette = Image.fromarray(rgb).quantize(16)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "small": jpeg(scene(30, 41)),
        "of a photo's shape": jpeg(rgb),
        "half": jpeg(scene(181, 263)),
        "quarter": jpeg(scene(301, 407), subsampling="4:2:2"),
        "eighth": jpeg(scene(801, 603), subsampling="4:4:4"),
        "lengthy": jpeg(scene(40, 700)),
        "thin": jpeg(scene(3, 700)),
        "progressive": jpeg(rgb, progressive=True),
        "grey": encoded(rgb[..., 0], "JPEG"),
        "png": encoded(rgb, "PNG"),
        "upright png": encoded(rgb, "PNG", exif=exif),
        "grey png": encoded(rgb[..., 0], "PNG"),
        "black and white": encoded(Image.fromarray(rgb).convert("1"), "PNG"),
        "palette": encoded(palette, "PNG", bits=4),
        "transparent": encoded(np.concatenate([rgb, alpha], -1), "PNG"),
        "grey, transparent": encoded(Image.fromarray(rgb).convert("LA"), "PNG"),
        **{f"held {way}": jpeg(scene(203, 155), way) for way in range(2, 9)},
    }


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_files_become_the_frames_of_the_graph(record):
    given = files()
    expected = resize_files_for_evaluation(tf.constant(list(given.values())), record).numpy()
    for (name, contents), frame in zip(given.items(), expected, strict=True):
        found = frame_of_file(contents, record)
        if name == "thin" and found is None:
            continue
        assert found is not None, name
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, frame, atol=ROUNDING, err_msg=name)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("sides", [(10, 13), (97, 131), (64, 64), (300, 40)])
def test_pixels_become_the_frames_of_the_graph(sides, record):
    pixels = np.random.default_rng(0).integers(0, 256, (1, *sides, 3), np.uint8)
    for images in (pixels, pixels.astype(np.float32)):
        expected = resize_pixels_for_evaluation(tf.constant(images), record).numpy()[0]
        found = frame_of_pixels(images[0], record)
        np.testing.assert_allclose(found, expected, atol=ROUNDING)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_windows_are_equal_bit_by_bit(record):
    for height, width in np.random.default_rng(2).integers(1, 6000, (60, 2)):
        sides = (tf.constant(float(height)), tf.constant(float(width)))
        expected = [float(number) for number in window_in_tensorflow(*sides, record)]
        assert [float(number) for number in evaluation_window(height, width, record)] == expected


def test_what_pillow_decodes_otherwise_is_left_to_tensorflow():
    rgb = Image.fromarray(scene(40, 50))
    deep = Image.fromarray(np.full((40, 50), 40_000, np.uint16))
    others = {
        "cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "16 bits": encoded(deep, "PNG"),
        "a transparent colour": encoded(rgb.convert("L"), "PNG", transparency=7),
        "animated": encoded(rgb, "PNG", save_all=True, append_images=[rgb.rotate(9)]),
        "gif": encoded(rgb, "GIF"),
        "webp": encoded(rgb, "WEBP"),
        "cut short": jpeg(scene(40, 50))[:500],
        "nothing": b"",
    }
    for name, contents in others.items():
        assert frame_of_file(contents, RECORDS["crop"]) is None, name


@pytest.mark.parametrize("record", long_after(2, RECORDS.values()), ids=RECORDS)
def test_greys_of_16_bits_are_scaled_as_the_graph_scales_them(record):
    levels = np.random.default_rng(4).integers(300, 4500, (97, 131), np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    given = [encoded(levels, "PNG"), encoded(levels, "PNG", exif=exif)]
    ranged = dataclasses.replace(record, value_range=(400, 4095))
    expected = resize_files_for_evaluation(tf.constant(given), ranged).numpy()
    for contents, frame in zip(given, expected, strict=True):
        np.testing.assert_allclose(frame_of_file(contents, ranged), frame, atol=ROUNDING)
    assert expected.mean() > 50  # by the full range it would be under 10


def test_a_photo_of_too_many_pixels_is_left_to_tensorflow():
    huge = Image.new(
        "1", (9_500, 9_500)
    )  # a few kilobytes, and a quarter of a gigabyte once it is RGB
    assert huge.width * huge.height > Image.MAX_IMAGE_PIXELS
    assert frame_of_file(encoded(huge, "PNG"), RECORDS["crop"]) is None
