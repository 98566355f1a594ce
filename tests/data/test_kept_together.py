"""Copies, near-duplicates and given groups have one key; all others keep their own digest."""

import numpy as np

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import ArrayImages, Split
from tl_toolkit.data.kept_together import group_keys, kept_together


def test_who_belongs_to_no_other_keeps_its_digest():
    assert group_keys(["c", "a", "b", "a"], []).tolist() == ["c", "a", "b", "a"]


def test_groups_join_through_each_other():
    digests, near = ["d", "c", "b", "a", "e"], [("d", "c")]
    keys = group_keys(digests, near, ["", "day 1", "day 1", "", ""])
    assert keys.tolist() == ["b", "b", "b", "a", "e"]


def test_a_split_without_groups_is_told_by_its_contents():
    split = Split.of(ArrayImages(np.zeros((3, 2, 2, 3), np.uint8)), [0, 0, 1])
    assert kept_together(split).tolist() == content_digests(split).tolist()
    given = Split.of(split.images, split.labels, groups=np.array(["a", "b", "a"]))
    assert kept_together(given.take([2, 0])).tolist() == ["a", "a"]
    assert kept_together(given.take([0]).joined(given.take([1]))).tolist() == ["a", "b"]
