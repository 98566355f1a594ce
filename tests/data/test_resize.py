"""The evaluation view is PIL's: shorter side resized, centre cut out."""

import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from PIL import Image

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.resize import (
    resample_window,
    resize_each_for_evaluation,
    resize_files_for_evaluation,
    resize_for_evaluation,
    resize_pixels_for_evaluation,
)

SIZES = {
    "landscape": (300, 400),
    "portrait": (400, 300),
    "square": (256, 256),
    "tiny": (10, 13),
    "odd": (97, 131),
    "strip": (64, 640),
}
PIL_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def noise(height, width):
    """Random pixels from 90 to 165: bicubic stays inside 0-255, where PIL cuts after each pass."""
    return np.random.default_rng(0).integers(90, 166, (height, width, 3), np.uint8)


def torchvision_view(pixels, preprocessing):
    """`Resize` and `CenterCrop` of torchvision, on PIL images."""
    size = preprocessing.image_size
    shorter = round(size / preprocessing.crop_fraction)
    height, width = pixels.shape[:2]
    longer = int(shorter * max(height, width) / min(height, width))
    resized = Image.fromarray(pixels).resize(
        (shorter, longer) if width <= height else (longer, shorter),
        PIL_FILTERS[preprocessing.interpolation],
    )
    left, top = (round((side - size) / 2) for side in resized.size)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize("image_size", [64, 97])
@pytest.mark.parametrize("crop_fraction", [0.875, 1.0])
@pytest.mark.parametrize("interpolation", PIL_FILTERS)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_evaluation_view_is_torchvisions_but_for_pils_rounding(
    size, interpolation, crop_fraction, image_size
):
    preprocessing = Preprocessing(
        image_size=image_size, crop_fraction=crop_fraction, interpolation=interpolation
    )
    pixels = noise(*size)
    view = resize_for_evaluation(pixels, preprocessing).numpy()
    difference = np.abs(view - torchvision_view(pixels, preprocessing))
    assert view.shape == (image_size, image_size, 3)
    assert view.dtype == np.float32
    # PIL rounds to whole grey levels twice: half a level each, and a little more of it where the
    # second pass is bicubic, whose weights add up to over 1 in size.
    assert difference.max() <= (1.001 if interpolation == "bilinear" else 1.2)
    assert difference.mean() <= 0.32


@pytest.mark.parametrize("interpolation", PIL_FILTERS)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_squashed_image_is_pils_own_resize(size, interpolation):
    preprocessing = Preprocessing(image_size=64, interpolation=interpolation, resize="squash")
    view = resize_for_evaluation(noise(*size), preprocessing).numpy()
    resized = Image.fromarray(noise(*size)).resize((64, 64), PIL_FILTERS[interpolation])
    assert np.abs(view - np.asarray(resized)).max() <= (
        1.001 if interpolation == "bilinear" else 1.2
    )


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_letterbox_is_pils_resize_with_grey_beside_it(size):
    preprocessing = Preprocessing(image_size=64, resize="letterbox")
    view = resize_for_evaluation(noise(*size), preprocessing).numpy()
    height, width = (max(1, int(64 * side / max(size) + 1e-4)) for side in size)
    resized = Image.fromarray(noise(*size)).resize((width, height), Image.Resampling.BILINEAR)
    top, left = round((height - 64) / 2), round((width - 64) / 2)
    expected = np.full((64, 64, 3), 128.0)
    expected[-top : height - top, -left : width - left] = np.asarray(resized)
    assert np.abs(view - expected).max() <= 1.001


@pytest.mark.parametrize("resize", ["crop", "squash", "letterbox"])
@pytest.mark.parametrize("kind", long_after(1, ["JPEG", "PNG"]))
def test_a_large_file_and_its_pixels_give_the_same_view_however_it_is_fitted(
    photo, encoded, kind, resize
):
    contents = encoded(photo(2, 60, 31), kind)
    pixels = tf.io.decode_image(contents)
    if kind == "JPEG":
        pixels = tf.io.decode_jpeg(contents, dct_method="INTEGER_ACCURATE")
    preprocessing = Preprocessing(image_size=32, resize=resize)
    np.testing.assert_allclose(
        resize_files_for_evaluation(tf.constant([contents]), preprocessing)[0],
        resize_for_evaluation(pixels, preprocessing),
        atol=1e-3,
    )


@pytest.mark.parametrize("interpolation", PIL_FILTERS)
def test_an_image_of_the_right_size_is_left_as_it_is(interpolation):
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    preprocessing = Preprocessing(image_size=64, interpolation=interpolation)
    np.testing.assert_array_equal(resize_for_evaluation(pixels, preprocessing), pixels)


def test_a_traced_function_gives_the_eager_view_bit_for_bit():
    preprocessing = Preprocessing(image_size=64, crop_fraction=0.875, interpolation="bicubic")
    traced = tf.function(
        lambda pixels: resize_for_evaluation(pixels, preprocessing),
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
    )
    for size in SIZES.values():
        pixels = noise(*size)
        np.testing.assert_array_equal(traced(pixels), resize_for_evaluation(pixels, preprocessing))


@pytest.mark.parametrize("value_range", [None, (400, 4095)])
def test_images_seen_one_by_one_are_those_of_the_graph_bit_for_bit(photo, encoded, value_range):
    preprocessing = Preprocessing(image_size=32, resize="letterbox", value_range=value_range)
    deep = np.random.default_rng(4).integers(300, 4500, (97, 131), np.uint16)
    files = [encoded(photo(2, 240, 310), kind) for kind in ("JPEG", "PNG", "GIF", "BMP")]
    files.append(encoded(Image.fromarray(deep), "PNG"))
    np.testing.assert_array_equal(
        resize_each_for_evaluation(files, preprocessing),
        resize_files_for_evaluation(tf.constant(files), preprocessing),
    )
    pixels = [noise(57, 43), noise(60, 99).astype(np.float32)]
    np.testing.assert_array_equal(
        resize_each_for_evaluation(pixels, preprocessing),
        [resize_pixels_for_evaluation(tf.constant(p[None]), preprocessing)[0] for p in pixels],
    )


def test_bicubic_overshoot_is_cut_to_the_range_of_pixels():
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    preprocessing = Preprocessing(image_size=97, interpolation="bicubic")
    uncut = resample_window(pixels, (0.0, 0.0, 40.0, 40.0), 97, "bicubic").numpy()
    view = resize_for_evaluation(pixels, preprocessing).numpy()
    assert (uncut.min(), uncut.max()) == pytest.approx((-18.4, 273.4), abs=1)
    assert (view.min(), view.max()) == (0, 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_and_its_pixels_give_the_same_view(photo, encoded, kind):
    contents = encoded(photo(2, 57, 43), kind)
    pixels = tf.io.decode_image(contents)
    if kind == "JPEG":
        pixels = tf.io.decode_jpeg(contents, dct_method="INTEGER_ACCURATE")
    preprocessing = Preprocessing(image_size=32, crop_fraction=0.875)
    np.testing.assert_allclose(
        resize_files_for_evaluation(tf.constant([contents]), preprocessing)[0],
        resize_for_evaluation(pixels, preprocessing),
        atol=1e-3,  # of a JPEG a window alone is decoded: its place in it is rounded differently
    )


@pytest.mark.parametrize("interpolation", PIL_FILTERS)
def test_a_window_of_whole_pixels_is_cut_out_exactly(interpolation):
    pixels = noise(30, 40)
    window = resample_window(pixels, (5.0, 7.0, 16.0, 16.0), 16, interpolation)
    np.testing.assert_array_equal(window, pixels[5:21, 7:23])


@pytest.mark.parametrize("interpolation", PIL_FILTERS)
def test_a_window_over_the_border_is_filled_with_zeros(interpolation):
    pixels = np.full((8, 8, 3), 200, np.uint8)
    window = resample_window(pixels, (-4.0, -8.0, 16.0, 16.0), 16, interpolation).numpy()
    expected = np.zeros((16, 16, 3), np.float32)
    expected[4:12, 8:16] = 200
    np.testing.assert_allclose(window, expected, atol=1e-4)


def test_a_window_beside_the_image_is_all_zeros():
    pixels = np.full((8, 8, 3), 200, np.uint8)
    assert not resample_window(pixels, (20.0, 0.0, 8.0, 8.0), 16, "bilinear").numpy().any()
