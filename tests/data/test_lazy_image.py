"""A window of a JPEG alone, at a coarser scale, is close to the same window of the whole image."""

import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from PIL import Image
from scenes import jpeg, scene

from tl_toolkit.catalog import AUGMENTATIONS, Preprocessing
from tl_toolkit.data.augment import augment_and_resize
from tl_toolkit.data.decode import (
    ANY_FORMAT,
    JPEG_MAGIC,
    PNG_MAGIC,
    apply_orientation,
    common_format,
    decode_image,
    stored_window,
)
from tl_toolkit.data.lazy_image import DecodedImage, EncodedLazyImage
from tl_toolkit.data.resize import resize_files_for_evaluation, resize_for_evaluation, view_window

HEIGHT, WIDTH = 301, 403
ORIENTATION_TAG = 0x0112
SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


@pytest.mark.parametrize(
    ("orientation", "subsampling", "progressive"),
    [
        *((orientation, "4:2:0", False) for orientation in range(1, 9)),
        *((6, subsampling, True) for subsampling in SUBSAMPLING),
        *((1, subsampling, False) for subsampling in ("4:4:4", "4:2:2")),
    ],
)
def test_a_window_decoded_alone_is_that_of_the_whole_picture(orientation, subsampling, progressive):
    options = {"subsampling": SUBSAMPLING[subsampling], "progressive": progressive}
    contents = jpeg(scene(HEIGHT, WIDTH), orientation, **options)
    whole = DecodedImage(decode_image(contents))
    for window in [
        (0.0, 0.0, 64.0, 64.0),
        (100.3, 57.9, 70.0, 61.5),
        (230.0, 250.0, 60.0, 60.0),
        (-20.0, 90.0, 60.0, 75.0),
        (290.0, 390.0, 40.0, 40.0),
    ]:
        for interpolation in ("bilinear", "bicubic"):
            alone = view_window(EncodedLazyImage(contents), window, 48, interpolation)
            expected = view_window(whole, window, 48, interpolation)
            np.testing.assert_allclose(alone, expected, atol=2e-3)


@pytest.mark.parametrize(
    ("orientation", "size", "scale"),
    [
        (6, 70, 8),
        (3, 140, 4),
        (8, 290, 2),
        *long_after(0, ((orientation, 70, 8) for orientation in (1, 2, 3, 4, 5, 7, 8))),
        *long_after(0, [(1, 140, 4), (1, 290, 2)]),
    ],
)
def test_a_coarser_decoding_is_close_to_resampling_all_pixels(orientation, size, scale):
    contents = jpeg(scene(601, 805), orientation, quality=95)  # sides that no scale divides
    preprocessing = Preprocessing(image_size=size, crop_fraction=1.0)
    pixels, _ = EncodedLazyImage(contents).region((0.0, 0.0, 601.0, 601.0), size)
    assert -(-601 // scale) in pixels.shape[:2]
    coarse = resize_files_for_evaluation(tf.constant([contents]), preprocessing)[0].numpy()
    fine = resize_for_evaluation(decode_image(contents), preprocessing).numpy()
    # A shift by one pixel of the file differs by over twice as much at a scale of 8.
    assert 0 < np.abs(coarse - fine).mean() < 0.7


@pytest.mark.parametrize(
    ("size", "sides"), [(301, 301), (151, 301), (150, 151), (75, 76), (37, 38), (20, 38)]
)
def test_the_coarsest_scale_with_enough_pixels_is_taken(size, sides):
    lazy_image = EncodedLazyImage(jpeg(scene(HEIGHT, WIDTH)))
    pixels, window = lazy_image.region((0.0, 0.0, float(HEIGHT), float(HEIGHT)), size)
    assert pixels.shape[0] == sides
    assert window[2] >= size or sides == 301
    assert window[2] == HEIGHT / round(301 / sides)


def test_no_more_than_the_window_is_decoded():
    pixels, window = EncodedLazyImage(jpeg(scene(HEIGHT, WIDTH))).region(
        (100.0, 150.0, 64.0, 64.0), 64
    )
    assert max(pixels.shape[:2]) <= 64 + 2 * 8
    assert (float(window[2]), float(window[3])) == (64, 64)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP"])
def test_other_formats_are_decoded_whole(kind):
    buffer = io.BytesIO()
    Image.fromarray(scene(80, 100)).save(buffer, kind)
    contents = buffer.getvalue()
    lazy_image = EncodedLazyImage(contents)
    assert tuple(map(float, lazy_image.sides())) == (80, 100)
    pixels, window = lazy_image.region((0.0, 0.0, 80.0, 80.0), 8)
    np.testing.assert_array_equal(pixels, decode_image(contents))
    assert tuple(map(float, window)) == (0, 0, 80, 80)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sides_are_those_of_the_upright_picture(orientation):
    sides = EncodedLazyImage(jpeg(scene(HEIGHT, WIDTH), orientation)).sides()
    expected = (HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT)
    assert tuple(map(float, sides)) == expected


@hypothesis.given(st.data())
def test_a_window_is_found_in_the_stored_picture(data):
    orientation = tf.constant(data.draw(st.integers(1, 8)))
    stored = tf.cast(tf.reshape(tf.range(7 * 5 * 3), (7, 5, 3)), tf.uint8)
    upright = apply_orientation(stored, orientation)
    height, width = upright.shape[:2]
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tall, wide = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    t, s, h, w = stored_window(
        tf.constant([top, left, tall, wide]), tf.constant([height, width]), orientation
    ).numpy()
    turned = apply_orientation(stored[t : t + h, s : s + w], orientation)
    np.testing.assert_array_equal(turned, upright[top : top + tall, left : left + wide])


@pytest.mark.parametrize("preset", ["photo", "shift", "surface"])
def test_augmented_views_of_a_file_are_those_of_its_pixels(preset):
    contents = jpeg(scene(120, 150), quality=95)
    preprocessing = Preprocessing(image_size=100)  # too large for a coarser scale
    whole = decode_image(contents)
    for view in range(4):
        arguments = (AUGMENTATIONS[preset], preprocessing, 3, 5, view)
        from_file = augment_and_resize(EncodedLazyImage(contents), *arguments)
        np.testing.assert_allclose(from_file, augment_and_resize(whole, *arguments), atol=2e-3)


@pytest.mark.slow
def test_eager_and_traced_regions_agree():
    contents = jpeg(scene(HEIGHT, WIDTH), 6)
    preprocessing = Preprocessing(image_size=64, crop_fraction=0.875)
    (traced,) = resize_files_for_evaluation(tf.constant([contents]), preprocessing)
    eager = resize_for_evaluation(EncodedLazyImage(contents), preprocessing)
    np.testing.assert_array_equal(traced, eager)


def png_of(mode, orientation=None):
    file, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[ORIENTATION_TAG] = orientation
    Image.fromarray(scene(60, 90)).convert(mode).save(file, "PNG", exif=exif)
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("magic", "files"),
    [
        (JPEG_MAGIC, [jpeg(scene(60, 90)), jpeg(scene(301, 403), 6), jpeg(scene(200, 150), 3)]),
        (PNG_MAGIC, [png_of("RGB"), png_of("RGBA", 5), png_of("L", 8), png_of("P"), png_of("1")]),
    ],
    ids=["JPEG", "PNG"],
)
def test_a_graph_for_one_format_gives_the_pixels_of_that_for_any(magic, files):
    assert common_format(files) == magic
    assert common_format([*files, b"GIF8"]) == ANY_FORMAT
    record, contents = Preprocessing(image_size=32), tf.constant(files)
    # A caller's graph does not know the files: it is the one that serves.
    of_any = tf.function(lambda some: resize_files_for_evaluation(some, record))(contents)
    np.testing.assert_array_equal(resize_files_for_evaluation(contents, record), of_any)


@pytest.mark.parametrize(
    "contents", [b"", b"x", b"\xff\xd8\xff", b"\xff\xd8\xff" + b"no image" * 9]
)
def test_what_is_no_picture_is_an_error(contents):
    with pytest.raises(tf.errors.InvalidArgumentError):
        resize_files_for_evaluation(tf.constant([contents]), Preprocessing(image_size=8))
