"""Photos of solar cells: the counts that their authors publish, the classes, the weights."""

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.data import elpv
from tl_toolkit.data.open import open_images
from tl_toolkit.errors import InputError

# Photos by (probability, type), counted in the package's labels.csv.
COUNTS = {"mono": (588, 117, 56, 313), "poly": (920, 178, 50, 402)}


def test_two_classes_at_one_half():
    source = open_images("elpv")
    assert source.class_names == ("functional", "defective")
    assert np.bincount(source.train.labels).tolist() == [588 + 117 + 920 + 178, 56 + 313 + 50 + 402]
    assert (source.licence, source.augmentation, source.train.weights) == (
        "CC BY-NC-SA 4.0",
        "surface",
        None,
    )


@pytest.mark.parametrize("kind", COUNTS)
def test_four_levels_of_one_module_type(kind):
    source = open_images(f"elpv:levels,{kind}")
    assert len(source.class_names) == 4
    assert tuple(np.bincount(source.train.labels)) == COUNTS[kind]


def test_weights_are_the_probability_of_the_class():
    split = open_images("elpv:weighted").train
    assert split.weights.dtype == np.float32
    weights, counts = np.unique(split.weights, return_counts=True)
    assert np.allclose(weights, [2 / 3, 1])
    assert counts.tolist() == [117 + 178 + 56 + 50, 588 + 920 + 313 + 402]


def test_the_split_of_the_paper_has_656_test_cells():
    dataset = tl.open_dataset("elpv", test_fraction=0.25, validation_fraction=0.15)
    sizes = [len(split) for split in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [1673, 295, 656]
    shares = [split.labels.mean() for split in (dataset.train, dataset.validation, dataset.test)]
    assert np.allclose(shares, 821 / 2624, atol=0.002)
    assert set(dataset.train.ids) & set(dataset.test.ids) == set()


def test_a_photo_is_grey_and_300_pixels_wide():
    pixels = open_images("elpv").train.images.loader()(np.int64(0)).pixels().numpy()
    assert (pixels.shape, pixels.dtype) == ((300, 300, 3), np.uint8)
    assert (pixels[..., 0] == pixels[..., 2]).all()
    assert 20 < pixels.mean() < 200


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("elpv:monoo", "Unknown option of elpv 'monoo'. Did you mean 'mono'"),
        ("elpv:mono,poly", "asks for two module types"),
    ],
)
def test_wrong_options_are_refused(uri, message):
    with pytest.raises(InputError, match=message):
        open_images(uri)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(elpv.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'tl-toolkit\[elpv\]'"):
        open_images("elpv")
