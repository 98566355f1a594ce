"""The UCI digits, as scikit-learn ships them."""

import numpy as np
import pytest
from sklearn import datasets

from tl_toolkit.data.digits import grey_to_rgb, load_digits


@pytest.fixture(scope="module")
def source():
    return load_digits()


def test_there_are_1797_images_of_8_by_8_pixels_and_no_splits(source):
    pixels = source.train.images.pixels
    assert (pixels.shape, pixels.dtype) == ((1797, 8, 8, 3), np.uint8)
    assert (source.validation, source.test, source.groups) == (None, None, None)
    assert source.train.ids.tolist() == list(range(1797))


def test_the_classes_are_the_digits_in_order(source):
    assert source.class_names == tuple("0123456789")
    counts = np.bincount(source.train.labels).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_16_grey_levels_are_spread_over_0_to_255(source):
    expected = np.rint(datasets.load_digits().images * 255 / 16)
    for channel in range(3):
        np.testing.assert_array_equal(source.train.images.pixels[..., channel], expected)
    assert np.unique(expected)[[0, 8, 16]].tolist() == [0, 128, 255]


def test_digits_are_never_mirrored_and_carry_their_licence(source):
    assert (source.augmentation, source.licence) == ("shift", "CC BY 4.0")


def test_grey_levels_are_rounded_not_cut():
    rgb = grey_to_rgb(np.array([[[0.4, 0.6], [254.6, 255.0]]]))
    assert rgb.shape == (1, 2, 2, 3)
    assert rgb[0, ..., 0].tolist() == [[0, 1], [255, 255]]
