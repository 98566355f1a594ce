"""A shrunk photo holds the pixels that views are cut from, upright, and is damaged where the photo is."""

import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scenes import jpeg, scene

from tl_toolkit.catalog import AUGMENTATIONS
from tl_toolkit.data.decode import check_image, decode_image
from tl_toolkit.data.lazy_image import EncodedLazyImage
from tl_toolkit.data.shrunk_photos import is_large, shrunk, side_for_views

SIDE = 40


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def psnr(pixels, expected):
    difference = pixels.astype(np.float64) - expected
    return 10 * np.log10(255**2 / np.mean(difference**2))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_shrunk_by_its_own_transform_and_upright(orientation):
    contents = jpeg(scene(201, 190), orientation)
    expected = EncodedLazyImage(contents).region((0.0, 0.0, 201.0, 190.0), SIDE)[0].numpy()
    upright = decode_image(contents).numpy()
    assert expected.shape[:2] == tuple(-(-side // 4) for side in upright.shape[:2])
    pixels = tf.io.decode_jpeg(shrunk(contents, SIDE)).numpy()
    assert pixels.shape == expected.shape
    assert psnr(pixels, expected) > 40
    # The photo itself, not turned: its mean of squares is near.
    rows, columns = (side // 4 for side in upright.shape[:2])
    squares = upright[: 4 * rows, : 4 * columns].reshape(rows, 4, columns, 4, 3)
    inner = squares.mean((1, 3))
    assert psnr(pixels[: inner.shape[0], : inner.shape[1]], inner) > 25


def test_other_formats_are_shrunk_by_the_mean_of_squares():
    photo = scene(95, 163)
    expected = np.asarray(Image.fromarray(photo).reduce(2), np.float64)
    pixels = tf.io.decode_jpeg(shrunk(png(photo), SIDE)).numpy()
    assert pixels.shape == expected.shape == (48, 82, 3)
    # The last row stands for half a square.
    assert psnr(pixels, expected) > 40


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [(80, 99, (40, 50)), (159, 170, (80, 85)), (160, 400, (40, 100)), (641, 320, (81, 40))],
)
@pytest.mark.parametrize("encode", [jpeg, png])
def test_the_least_of_the_factors_that_leaves_enough_is_taken(encode, height, width, sides):
    contents = encode(scene(height, width))
    assert is_large(contents, SIDE)
    assert tf.io.decode_jpeg(shrunk(contents, SIDE)).shape[:2] == sides


def test_a_photo_of_less_than_two_sides_is_not_large(tmp_path):
    for height, large in ((79, False), (80, True)):
        path = tmp_path / f"{height}.png"
        path.write_bytes(png(scene(height, 500)))
        assert is_large(path.read_bytes(), SIDE) is is_large(str(path), SIDE) is large
    assert not is_large(b"no photo at all", SIDE)
    assert not is_large(b"", SIDE)


def test_even_of_noise_it_keeps_40_decibels():
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    contents = png(noise)
    mean = np.asarray(Image.fromarray(noise).reduce(4), np.float64)
    assert psnr(tf.io.decode_jpeg(shrunk(contents, SIDE)).numpy(), mean) > 40


def test_the_same_photo_gives_the_same_bytes():
    contents = jpeg(scene(201, 190), 6)
    assert shrunk(contents, SIDE).numpy() == shrunk(contents, SIDE).numpy()


@hypothesis.given(share=st.floats(0.05, 0.999), progressive=st.booleans())
def test_a_jpeg_that_is_cut_short_is_refused_as_by_the_check(share, progressive):
    contents = jpeg(scene(201, 190), progressive=progressive)
    cut = contents[: int(share * len(contents))]
    fails = []
    for read in (check_image, lambda photo: shrunk(photo, SIDE)):
        try:
            read(cut)
        except tf.errors.InvalidArgumentError:
            fails.append(True)
        else:
            fails.append(False)
    assert fails[0] == fails[1]


@pytest.mark.parametrize("name", [name for name, preset in AUGMENTATIONS.items() if preset])
@pytest.mark.parametrize("image_size", [32, 224, 300])
def test_no_window_of_a_square_photo_has_fewer_pixels_than_its_view(name, image_size):
    preset = AUGMENTATIONS[name]
    side = side_for_views(preset, image_size)
    assert side % 256 == 0
    assert side >= 512
    narrowest, widest = preset.aspect_ratio
    for ratio in (narrowest, 1.0, widest):
        height, width = (side * np.sqrt(preset.area[0] * r) for r in (1 / ratio, ratio))
        assert min(height, width) >= image_size - 1e-6
