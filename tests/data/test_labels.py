"""Labels keep their form and their order, and what only photos of one class have is refused."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit, softmax
from tiny import PIXELS

import tl_toolkit as tl
from tl_toolkit.catalog import augmentation_named
from tl_toolkit.data.dataset import ArrayImages, Split
from tl_toolkit.data.labels import counts_of, names_of, probabilities_of, targets_of
from tl_toolkit.data.pipeline import (
    class_weights,
    epoch_order,
    example_weights,
    training_batches,
    training_signature,
)
from tl_toolkit.data.positive_class import positive_class
from tl_toolkit.errors import InputError

SEVERAL = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1]], np.uint8)


def test_a_split_keeps_rows_of_labels_through_take_and_join():
    images = ArrayImages(np.zeros((3, 2, 2, 3), np.uint8))
    split = Split.of(images, SEVERAL.tolist())
    assert split.labels.dtype == np.uint8
    both = split.take([2, 0]).joined(split.take([1]))
    np.testing.assert_array_equal(both.labels, SEVERAL[[2, 0, 1]])
    assert Split.of(images, [2.0, 0.0, 1.0]).labels.dtype == np.int64


def test_rows_of_something_else_are_refused():
    with pytest.raises(InputError, match=r"rows of 0 and 1\. Received: np\.int64\(2\)"):
        Split.of(ArrayImages(np.zeros((1, 2, 2, 3), np.uint8)), [[0, 2]])


def test_counts_and_names():
    np.testing.assert_array_equal(counts_of(SEVERAL, 3), [1, 1, 2])
    np.testing.assert_array_equal(counts_of(np.array([2, 0, 2]), 4), [1, 0, 2, 0])
    assert names_of(SEVERAL[0], ("a", "b", "c")) == ("a", "c")
    assert names_of(SEVERAL[1], ("a", "b", "c")) == ()
    assert names_of(np.int64(1), ("a", "b", "c")) == ("b",)


def test_each_label_has_a_probability_of_its_own_and_one_class_has_them_together():
    logits = np.array([[2.0, -1.0, 0.5]], np.float32)
    np.testing.assert_allclose(probabilities_of(logits, several=True), expit(logits), atol=1e-7)
    np.testing.assert_allclose(
        probabilities_of(logits, several=False), softmax(logits.astype(float), axis=1)
    )


def test_smoothing_spreads_a_label_over_being_there_and_not():
    np.testing.assert_allclose(targets_of(SEVERAL, 3, 0.2)[0], [0.9, 0.1, 0.9])
    np.testing.assert_allclose(targets_of(np.array([1]), 4, 0.2)[0], [0.05, 0.85, 0.05, 0.05])


@pytest.mark.parametrize(
    "choice", [{"positive_class": "a"}, {"find": 0.9}, {"class_balance": "sampling"}]
)
def test_what_only_photos_of_one_class_have_is_refused(choice):
    recipe = tl.Recipe(data="csv:photos.csv", strategy="new_head", **choice)
    with pytest.raises(InputError, match=next(iter(choice))):
        positive_class(recipe, ("a", "b", "c"), SEVERAL)


def test_with_class_weights_having_a_label_weighs_as_much_as_not_having_it():
    labels = np.array([[1, 0], [0, 0], [0, 1], [0, 1]], np.uint8)
    images = ArrayImages(np.zeros((4, 2, 2, 3), np.uint8))
    balance = class_weights(labels, 2)
    np.testing.assert_allclose(balance, [[4 / 6, 1], [2, 1]])
    split = Split.of(images, labels, weights=[1, 2, 1, 1])
    np.testing.assert_allclose(
        example_weights(split, balance), [[2, 1], [4 / 3, 2], [2 / 3, 1], [2 / 3, 1]]
    )
    assert example_weights(split, None).tolist() == [[1, 1], [2, 2], [1, 1], [1, 1]]


@pytest.mark.parametrize("mixes", [False, True])
def test_batches_carry_rows_of_labels_in_the_order_of_their_columns(mixes):
    preset = dataclasses.replace(augmentation_named("light"), mixup=0.2 * mixes)
    rows = np.arange(12)[:, None] >> np.arange(4) & 1
    split = Split.of(ArrayImages(np.zeros((12, 16, 16, 3), np.uint8)), rows)
    spec = training_signature(PIXELS, mixed=mixes, several=4)
    batches = training_batches(split, PIXELS, preset, batch_size=5, epochs=1, seed=0)
    order = epoch_order(split.labels, 0, 0)
    found = []
    for images, labels, weights in batches:
        for tensor, expected in zip((images, labels, weights), spec, strict=True):
            assert expected.is_compatible_with(tensor)
        found.append(labels.numpy() if not mixes else labels.numpy()[:, 0])
        if mixes:
            np.testing.assert_allclose(weights.numpy().sum(1), np.ones((len(images), 4)), rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate(found), rows[order])
