"""Every label keeps its share in splits and folds, groups stay whole, and what cannot be is said by the label's name."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tl_toolkit.data.label_splits import check_label_sizes, folds_of_labels, split_of_labels
from tl_toolkit.data.splits import check_class_sizes, stratified_split
from tl_toolkit.errors import InputError


def photos_with(shares, count=400, seed=0):
    """uint8[count, labels], each label in its share of the photos, the second more often beside the first."""
    random = np.random.default_rng(seed)
    labels = random.random((count, len(shares))) < np.array(shares)
    labels[:, 1] |= labels[:, 0] & (random.random(count) < 0.5)
    return labels.astype(np.uint8)


def test_every_label_and_pair_of_labels_keeps_its_share_within_a_photo_or_two():
    labels = photos_with([0.5, 0.2, 0.05, 0.02])
    chosen = split_of_labels(labels, 0.2, 0)
    assert abs(chosen.sum() - 80) <= 2
    for label in range(4):
        assert abs(labels[chosen, label].sum() - 0.2 * labels[:, label].sum()) <= 1.5
    none = labels.sum(1) == 0
    assert abs((none & chosen).sum() - 0.2 * none.sum()) <= 4


def test_a_rare_label_is_on_both_sides_where_chance_would_leave_one_without():
    for seed in range(30):
        labels = np.zeros((200, 3), np.uint8)
        labels[np.random.default_rng(seed).permutation(200)[:2], 2] = 1
        labels[::2, 0] = labels[::3, 1] = 1
        chosen = split_of_labels(labels, 0.1, seed)
        assert labels[chosen, 2].sum() == labels[~chosen, 2].sum() == 1


@st.composite
def grouped(draw):
    """Labels of 2 to 5 kinds in up to 40 groups of one to three photos; every label is in at least two groups."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=4, max_size=40))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = (random.random((len(groups), draw(st.integers(2, 5)))) < 0.3).astype(np.uint8)
    for label in range(labels.shape[1]):
        for group in random.permutation(len(sizes))[:2]:
            labels[np.flatnonzero(groups == group)[0], label] = 1
    order = random.permutation(len(groups))
    return labels[order], groups[order]


@hypothesis.given(grouped(), st.floats(0.05, 0.6), st.integers(0, 2**32))
def test_groups_stay_whole_and_the_same_seed_gives_the_same(data, fraction, seed):
    labels, groups = data
    try:
        chosen = stratified_split(labels, fraction, seed, groups, tuple("abcde"))
    except InputError as error:
        assert "the label '" in str(error)  # noqa: PT017
        return
    assert chosen.dtype == bool
    assert not set(groups[chosen]) & set(groups[~chosen])
    assert labels[chosen].any(0).all()
    assert labels[~chosen].any(0).all()
    np.testing.assert_array_equal(chosen, stratified_split(labels, fraction, seed, groups))


def test_a_label_that_is_in_one_group_only_is_named():
    labels = np.zeros((30, 2), np.uint8)
    labels[::2, 0] = labels[:4, 1] = 1
    groups = np.r_[np.zeros(4, int), np.arange(1, 27)]
    with pytest.raises(InputError, match="the label 'rust' is in too few groups"):
        split_of_labels(labels, 0.2, 0, groups, ("dent", "rust"))


def test_a_label_of_too_few_photos_or_of_all_is_refused_by_name():
    labels = np.zeros((30, 2), np.uint8)
    labels[::2, 0] = labels[:2, 1] = 1
    sides = ("train", "validate", "test")
    with pytest.raises(InputError, match="2 distinct photos are with the label 'rust'; it needs 3"):
        check_class_sizes(labels, ("dent", "rust"), sides)
    labels[:29, 1] = 1
    with pytest.raises(InputError, match="1 distinct photo is without the label 'rust'"):
        check_label_sizes(labels, ("dent", "rust"), sides)


@hypothesis.given(grouped(), st.integers(2, 5), st.integers(0, 99))
def test_folds_keep_groups_whole(data, most, seed):
    labels, groups = data
    folds = folds_of_labels(labels, groups, seed, most)
    if folds is None:
        return
    assert set(folds) <= set(range(most))
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1


def test_folds_share_every_label_evenly():
    labels = photos_with([0.5, 0.2, 0.05])
    folds = folds_of_labels(labels, np.arange(len(labels)), 3, 5)
    counts = np.stack([labels[folds == fold].sum(0) for fold in range(5)])
    assert (np.ptp(counts, axis=0) <= [3, 3, 1]).all()
    assert np.ptp(np.bincount(folds)) <= 3


def test_no_folds_of_labels_that_one_photo_has():
    assert folds_of_labels(np.eye(3, dtype=np.uint8), np.arange(3), 0, 5) is None
