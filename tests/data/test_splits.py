"""Splits keep their promises for every mix of classes and copies."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tl_toolkit.data.splits import check_class_sizes, sample_per_class, stratified_split
from tl_toolkit.errors import InputError

FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32) | st.tuples(st.integers(0, 2**32), st.integers(0, 9))


@st.composite
def images(draw, least_groups=1, most_groups=12):
    """Labels and groups in any order; a group has one to three images of one class."""
    classes = draw(
        st.lists(
            st.lists(st.integers(1, 3), min_size=least_groups, max_size=most_groups),
            min_size=1,
            max_size=5,
        )
    )
    labels, groups = [], []
    for label, sizes in enumerate(classes):
        for size in sizes:
            groups += [max(groups, default=-1) + 1] * size
            labels += [label] * size
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(labels))
    return np.array(labels, np.int64)[order], np.array(groups, np.int64)[order]


def names(labels):
    return [f"class {label}" for label in range(labels.max() + 1)]


@hypothesis.given(images(), FRACTIONS, SEEDS)
def test_a_class_of_two_distinct_images_or_more_is_on_both_sides(data, fraction, seed):
    labels, groups = data
    chosen = stratified_split(labels, fraction, seed, groups)
    for label in np.unique(labels):
        distinct = len(np.unique(groups[labels == label]))
        sides = set(chosen[labels == label])
        assert sides == ({True, False} if distinct > 1 else {False})


@hypothesis.given(images(), FRACTIONS, SEEDS)
def test_copies_stay_on_one_side(data, fraction, seed):
    labels, groups = data
    chosen = stratified_split(labels, fraction, seed, groups)
    assert not set(groups[chosen]) & set(groups[~chosen])


@hypothesis.given(images(most_groups=40), FRACTIONS, SEEDS)
def test_each_class_gives_its_share_within_one_image(data, fraction, seed):
    labels, groups = data
    chosen = stratified_split(labels, fraction, seed, groups)
    for label in np.unique(labels):
        distinct = len(np.unique(groups[labels == label]))
        share = len(np.unique(groups[chosen & (labels == label)]))
        assert abs(share - fraction * distinct) <= 1


@hypothesis.given(images(), FRACTIONS, SEEDS)
def test_the_same_seed_makes_the_same_split(data, fraction, seed):
    labels, groups = data
    first = stratified_split(labels, fraction, seed, groups)
    assert first.dtype == bool
    np.testing.assert_array_equal(first, stratified_split(labels, fraction, seed, groups))


@hypothesis.given(images(), FRACTIONS, SEEDS, st.data())
def test_a_class_is_split_the_same_whatever_the_others_hold(data, fraction, seed, draw):
    labels, groups = data
    kept = draw.draw(st.sampled_from(sorted(set(labels))))
    only = labels == kept
    chosen = stratified_split(labels, fraction, seed, groups)
    alone = stratified_split(labels[only], fraction, seed, groups[only])
    np.testing.assert_array_equal(chosen[only], alone)


def test_without_groups_every_image_is_its_own():
    labels = np.repeat([0, 1], [10, 30])
    chosen = stratified_split(labels, 0.2, 0)
    assert np.bincount(labels[chosen]).tolist() == [2, 6]


def test_classes_of_one_size_are_not_split_alike():
    labels = np.repeat(np.arange(8), 20)
    sides = stratified_split(labels, 0.5, 0).reshape(8, 20)
    assert len({side.tobytes() for side in sides}) == 8


def test_seeds_and_their_parts_make_different_splits():
    labels = np.zeros(40, np.int64)
    splits = {
        stratified_split(labels, 0.5, seed).tobytes()
        for seed in (0, 1, 2, (0, 1), (1, 1), (1, 2), (2, 1))
    }
    assert len(splits) == 7


def test_every_image_is_chosen_as_often_as_its_share():
    labels = np.zeros(20, np.int64)
    chosen = np.mean([stratified_split(labels, 0.25, seed) for seed in range(400)], axis=0)
    four_deviations = 4 * np.sqrt(0.25 * 0.75 / 400)
    assert np.abs(chosen - 0.25).max() < four_deviations


@hypothesis.given(images(least_groups=4), st.integers(1, 4), SEEDS)
def test_a_sample_holds_exactly_so_many_distinct_images_of_each_class(data, per_class, seed):
    labels, groups = data
    sample = sample_per_class(labels, per_class, seed, names(labels), groups)
    assert np.bincount(labels[sample]).tolist() == [per_class] * (labels.max() + 1)
    assert len(set(groups[sample])) == len(sample)
    assert (np.diff(sample) > 0).all()
    np.testing.assert_array_equal(
        sample, sample_per_class(labels, per_class, seed, names(labels), groups)
    )


@hypothesis.given(images(least_groups=4), SEEDS)
def test_a_smaller_sample_is_part_of_a_larger_one(data, seed):
    labels, groups = data
    samples = [
        set(sample_per_class(labels, count, seed, names(labels), groups)) for count in (1, 2, 4)
    ]
    assert samples[0] < samples[1] < samples[2]


def test_another_seed_makes_another_sample():
    labels = np.repeat([0, 1, 2], 50)
    samples = {tuple(sample_per_class(labels, 5, seed, "abc")) for seed in range(10)}
    assert len(samples) == 10


def test_a_sample_that_a_class_is_too_small_for_is_refused_with_its_name():
    labels, groups = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 3, 3, 4])
    assert len(sample_per_class(labels, 3, 0, ["cat", "dog"])) == 6
    with pytest.raises(InputError, match=r"Class 'dog' has 2 distinct images.*labels_per_class=3"):
        sample_per_class(labels, 3, 0, ["cat", "dog"], groups)


@pytest.mark.parametrize(
    ("sides", "groups", "message"),
    [
        (
            ["train", "validate", "test"],
            None,
            r"Class 'dog' has 2 distinct images; it needs 3, one each to train, validate, test\. "
            r"Add images, or remove the class\. validation_fraction=0 needs one less\.",
        ),
        (
            ["train", "test"],
            [0, 1, 2, 3, 3],
            r"Class 'dog' has 1 image; it needs 2, one each to train, test\. "
            r"Add images, or remove the class\.$",
        ),
    ],
    ids=["two images for three sides", "two copies for two sides"],
)
def test_a_class_too_small_for_the_splits_is_refused_with_the_way_out(sides, groups, message):
    groups = None if groups is None else np.array(groups)
    with pytest.raises(InputError, match=message):
        check_class_sizes(np.array([0, 0, 0, 1, 1]), ["cat", "dog"], sides, groups)


@hypothesis.given(images(), st.sampled_from([["train"], ["train", "test"]]))
def test_class_sizes_are_refused_exactly_where_a_side_would_stay_empty(data, sides):
    labels, groups = data
    smallest = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    try:
        check_class_sizes(labels, names(labels), sides, groups)
        refused = False
    except InputError:
        refused = True
    assert refused == (smallest < len(sides))


def test_groups_of_several_classes_stay_whole_and_every_class_is_on_both_sides():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 10)
    labels = rng.integers(0, 3, 300)
    chosen = stratified_split(labels, 0.2, 0, groups)
    for group in range(30):
        assert len(set(chosen[groups == group].tolist())) == 1
    for label in range(3):
        assert 0.1 < chosen[labels == label].mean() < 0.3
    assert (stratified_split(labels, 0.2, 0, groups) == chosen).all()


def test_groups_that_cannot_be_parted_are_refused():
    with pytest.raises(InputError, match="cannot be parted"):
        stratified_split(np.array([0, 1, 0, 1]), 0.5, 0, np.zeros(4, int))
