"""RandAugment's operations are Pillow's, change nothing at magnitude 0, and follow from their key alone."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from tl_toolkit.data import rand_augment as module
from tl_toolkit.data.draws import draw_key
from tl_toolkit.data.geometry import BORDER
from tl_toolkit.data.rand_augment import OPERATIONS, apply_operation, rand_augment

SIZE = 24
# Pillow drops fractions, and takes grey and smoothed values as whole numbers, whose error 0.9 is taken of.
ROUNDING = 1 + 0.9 * 0.5 + 0.05
GREY = (int(BORDER),) * 3


def pixels_of(seed=0):
    """Smooth blobs with some noise: of pure noise, everything is an edge."""
    random = np.random.default_rng(seed)
    coarse = random.integers(20, 236, (4, 4, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return np.clip(smooth + random.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def applied(name, pixels, strength):
    return OPERATIONS[name](tf.constant(pixels, tf.float32), tf.constant(strength)).numpy()


def affine(image, matrix):
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=GREY
    )


def about_centre(a, b, d, e):
    """Pillow's six numbers of a map that leaves the centre where it is."""
    c = SIZE / 2
    return a, b, c - a * c - b * c, d, e, c - d * c - e * c


PILLOW = {
    "identity": lambda image, strength: image,
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "equalize": lambda image, strength: ImageOps.equalize(image),
    "rotate": lambda image, strength: image.rotate(
        30 * strength, Image.Resampling.BILINEAR, fillcolor=GREY
    ),
    "solarize": lambda image, strength: ImageOps.solarize(image, 256 * (1 - abs(strength))),
    "colour": lambda image, strength: ImageEnhance.Color(image).enhance(1 + 0.9 * strength),
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
    "contrast": lambda image, strength: ImageEnhance.Contrast(image).enhance(1 + 0.9 * strength),
    "brightness": lambda image, strength: ImageEnhance.Brightness(image).enhance(
        1 + 0.9 * strength
    ),
    "sharpness": lambda image, strength: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * strength),
    "shear_x": lambda image, strength: affine(image, about_centre(1, 0.3 * strength, 0, 1)),
    "shear_y": lambda image, strength: affine(image, about_centre(1, 0, 0.3 * strength, 1)),
    "translate_x": lambda image, strength: affine(image, (1, 0, 0.3 * SIZE * strength, 0, 1, 0)),
    "translate_y": lambda image, strength: affine(image, (1, 0, 0, 0, 1, 0.3 * SIZE * strength)),
}
BLENDED = ("autocontrast", "equalize")  # which have one strength alone in Pillow
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def test_the_operations_are_the_fourteen_of_the_paper():
    assert list(OPERATIONS) == list(PILLOW)


@pytest.mark.parametrize("strength", [1.0, 0.5, -0.5, -1.0])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_pillows(name, strength):
    if name in BLENDED:
        strength = float(np.sign(strength))
    pixels = pixels_of()
    expected = np.asarray(PILLOW[name](Image.fromarray(pixels), strength), np.float32)
    found = applied(name, pixels, strength)
    assert np.abs(found - expected).max() > 0 or name in (
        "identity",
        *BLENDED,
        "posterize",
        "solarize",
    )
    if name in GEOMETRIC:
        # At the border Pillow takes no neighbour from outside: compare what lies inside in both.
        inside = (found != BORDER).all(-1) & (expected != BORDER).all(-1)
        inside &= _far_from_border(inside)
        assert inside.mean() > 0.4
        assert np.abs(found - expected)[inside].max() <= ROUNDING
    else:
        assert np.abs(found - expected).max() <= ROUNDING


def _far_from_border(inside):
    padded = np.pad(inside, 1)
    neighbours = [np.roll(padded, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.all(neighbours, axis=0)[1:-1, 1:-1]


@pytest.mark.parametrize("name", OPERATIONS)
def test_magnitude_0_changes_no_bit(name):
    pixels = np.random.default_rng(1).uniform(0, 255, (SIZE, SIZE, 3)).astype(np.float32)
    np.testing.assert_array_equal(applied(name, pixels, 0.0), pixels)


@pytest.mark.parametrize("strength", [-1.0, -0.3, 0.6, 1.0])
@pytest.mark.parametrize("name", OPERATIONS)
def test_pixels_stay_between_0_and_255(name, strength):
    for pixels in (
        np.random.default_rng(1).choice([0.0, 255.0], (SIZE, SIZE, 3)),
        np.zeros((SIZE, SIZE, 3)),
        np.full((SIZE, SIZE, 3), 255.0),
        np.full((SIZE, SIZE, 3), 77.3),
    ):
        found = applied(name, pixels, strength)
        assert found.shape == (SIZE, SIZE, 3)
        assert 0 <= found.min() <= found.max() <= 255


@pytest.mark.parametrize("name", BLENDED)
def test_half_of_a_blended_operation_is_half_way(name):
    pixels = pixels_of()
    whole = applied(name, pixels, 1.0)
    np.testing.assert_allclose(applied(name, pixels, -0.5), (pixels + whole) / 2, atol=1e-3)


@pytest.mark.parametrize("name", BLENDED)
def test_a_channel_of_one_value_is_not_stretched(name):
    pixels = pixels_of()
    pixels[..., 1] = 90
    assert (applied(name, pixels, 1.0)[..., 1] == 90).all()


def test_the_same_key_gives_the_same_pixels_and_another_others():
    pixels = tf.constant(pixels_of(), tf.float32)
    found = [rand_augment(pixels, 2, 7.0, draw_key(0, 1, n)).numpy() for n in (3, 3, *range(4, 20))]
    np.testing.assert_array_equal(found[0], found[1])
    assert len({view.tobytes() for view in found}) > 12


@pytest.mark.parametrize("strength", [-0.5, 0.7])
def test_the_operation_of_a_number_is_applied(strength):
    pixels = pixels_of()
    for number, name in enumerate(OPERATIONS):
        found = apply_operation(tf.constant(pixels, tf.float32), number, strength)
        np.testing.assert_allclose(found, applied(name, pixels, strength), atol=1e-3)


@pytest.mark.slow
def test_every_operation_is_drawn_as_often_in_both_directions(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        module,
        "apply_operation",
        lambda pixels, number, strength: drawn.append((int(number), float(strength))) or pixels,
    )
    count = 1400
    for number in range(count // 2):
        rand_augment(tf.zeros((1, 1, 3)), 2, 5.0, draw_key(0, 1, number))
    operations, strengths = np.array(drawn).T
    assert set(strengths) == {-0.5, 0.5}
    assert abs((strengths > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(count)
    share = 1 / len(OPERATIONS)
    deviation = np.sqrt(count * share * (1 - share))
    counts = np.bincount(operations.astype(int))
    assert len(counts) == len(OPERATIONS)
    assert np.abs(counts - count * share).max() < 4 * deviation


def test_operations_follow_one_another(monkeypatch):
    monkeypatch.setattr(
        module, "apply_operation", lambda pixels, number, strength: pixels * 2 + float(strength)
    )
    pixels = tf.ones((1, 1, 3))
    key = draw_key(0, 1, 2)
    assert rand_augment(pixels, 0, 6.0, key)[0, 0, 0] == 1
    once = float(rand_augment(pixels, 1, 6.0, key)[0, 0, 0])
    assert abs(once - 2) == pytest.approx(0.6)
    # The first of two is the one of one.
    assert abs(float(rand_augment(pixels, 2, 6.0, key)[0, 0, 0]) - 2 * once) == pytest.approx(0.6)
