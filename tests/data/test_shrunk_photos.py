"""A shrunk photo is upright, of the size that was asked for, and is damaged where the photo is."""

import concurrent.futures
import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scenes import jpeg, scene

from tl_toolkit.catalog import AUGMENTATIONS
from tl_toolkit.data import shrunk_photos
from tl_toolkit.data.decode import check_image, decode_image
from tl_toolkit.data.lazy_image import EncodedLazyImage
from tl_toolkit.data.resize import resample_window
from tl_toolkit.data.shrunk_photos import is_large, shrunk, shrunk_file, side_for_views

SIDE = 40


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def psnr(pixels, expected):
    difference = pixels.astype(np.float64) - expected
    return 10 * np.log10(255**2 / np.mean(difference**2))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_shrunk_upright(orientation):
    photo = scene(201, 190)
    contents = jpeg(photo, orientation)
    upright = Image.fromarray(decode_image(contents).numpy())
    sides = (SIDE, round(201 / 190 * SIDE))
    sides = sides if orientation < 5 else sides[::-1]
    expected = upright.resize(sides, Image.Resampling.BILINEAR)
    pixels = tf.io.decode_jpeg(shrunk(contents, SIDE)).numpy()
    assert pixels.shape == (sides[1], sides[0], 3)
    assert (
        psnr(pixels, np.asarray(expected)) > 27
    )  # the scene has edges, and the transform its own kernel
    if orientation > 1:
        turned = Image.fromarray(photo).resize(sides, Image.Resampling.BILINEAR)
        assert psnr(pixels, np.asarray(turned)) < 20


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [(80, 99, (40, 50)), (160, 400, (40, 100)), (641, 320, (80, 40))],
)
@pytest.mark.parametrize(("encode", "likeness"), [(jpeg, 25), (png, 36)])
def test_the_shorter_side_is_what_was_asked_for(encode, likeness, height, width, sides):
    photo = scene(height, width)
    contents = encode(photo)
    assert is_large(contents, SIDE)
    pixels = tf.io.decode_jpeg(shrunk(contents, SIDE)).numpy()
    assert pixels.shape == (*sides, 3)
    expected = Image.fromarray(photo).resize(sides[::-1], Image.Resampling.BILINEAR)
    assert psnr(pixels, np.asarray(expected)) > likeness


def test_a_photo_of_less_than_two_sides_is_not_large(tmp_path):
    for height, large in ((79, False), (80, True)):
        path = tmp_path / f"{height}.png"
        path.write_bytes(png(scene(height, 500)))
        assert is_large(path.read_bytes(), SIDE) is is_large(str(path), SIDE) is large
    assert not is_large(b"no photo at all", SIDE)
    assert not is_large(b"", SIDE)


def test_even_of_noise_it_keeps_35_decibels():
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    mean = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BOX)
    assert psnr(tf.io.decode_jpeg(shrunk(png(noise), SIDE)).numpy(), np.asarray(mean)) > 35


@pytest.mark.parametrize(("encode", "least"), [(jpeg, 40), (png, 36)])
def test_what_a_view_shows_is_what_an_antialiased_copy_would_show(encode, least):
    """A view resizes its copy once more, which leaves little of the difference between two kernels."""
    contents = encode(scene(211, 260))
    photo = EncodedLazyImage(tf.constant(contents))
    pixels, _ = photo.region((0.0, 0.0, 211.0, 260.0), SIDE)
    smooth = tf.image.resize(pixels, (SIDE, 49), "bilinear", antialias=True)
    copy = tf.io.decode_jpeg(shrunk(contents, SIDE))
    window = (2.0, 3.0, 32.0, 40.0)
    shown, expected = (resample_window(p, window, 18, "bilinear").numpy() for p in (copy, smooth))
    assert psnr(shown, expected) > least


def test_threads_that_come_first_together_make_one_graph_ready():
    contents = jpeg(scene(201, 190), 6)
    shrunk_photos._ready_to_shrink.cache_clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: shrunk_file(contents, SIDE), range(8)))
    assert shrunk_photos._ready_to_shrink.cache_info().misses == 1
    assert set(made) == {shrunk(contents, SIDE).numpy()}


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
