"""Paths in columns are the paths that they were made of, in any order and part."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl_toolkit.data import path_column as module
from tl_toolkit.data.path_column import PathColumn

# Names that are not UTF-8 have surrogates.
NAMES = st.text(st.characters() | st.sampled_from("/./é\udce9\ud800"), max_size=8)
PATHS = st.lists(NAMES | st.builds("/photos/{}/{}".format, NAMES, NAMES), max_size=12)


@given(PATHS, st.data())
def test_paths_come_back_whatever_is_taken_of_them(paths, data):
    column = PathColumn.of(paths)
    assert len(column) == len(paths)
    assert column.tolist() == [column[k] for k in range(len(paths))] == paths
    size = len(paths)
    positions = st.lists(st.integers(0, max(size - 1, 0)), max_size=20 if size else 0)
    chosen = np.array(data.draw(positions), np.int64)
    taken = column[chosen]
    assert taken.tolist() == [paths[k] for k in chosen]
    assert column.joined(taken).tolist() == paths + taken.tolist()
    start = data.draw(st.integers(0, size))
    assert column[start:].tolist() == paths[start:]
    assert column[::2][:3].tolist() == paths[::2][:3]
    assert column[np.arange(size) % 2 == 1].tolist() == paths[1::2]


def test_many_are_picked_in_parts(monkeypatch):
    monkeypatch.setattr(module, "AT_A_TIME", 3)
    paths = [f"/a/{number % 4}/{'x' * (number % 5)}{number}" for number in range(20)]
    column = PathColumn.of(paths)
    assert list(column) == paths
    order = np.random.default_rng(0).permutation(20)
    assert column[order].tolist() == [paths[k] for k in order]
    np.testing.assert_array_equal(column[order], np.array(paths)[order])


@pytest.mark.parametrize("position", [3, -4])
def test_what_is_beyond_is_no_path(position):
    column = PathColumn.of(["a", "b/c", "b/d"])
    assert column[-1] == "b/d"
    with pytest.raises(IndexError):
        column[position]


@pytest.mark.parametrize(
    ("paths", "above"),
    [
        ([], ""),
        (["/a/b/c.png"], "/a/b"),
        (["/a/b/c.png", "/a/b/c.png"], "/a/b"),
        (["/a/b/c.png", "/a/b/d.png"], "/a"),
        (["/a/b/c.png", "/a/z.png"], "/"),
        (["/a/b/c.png", "/a/b-c/d.png"], "/"),
        (["/a/b/c/1.png", "/a/b/d/2.png", "/a/b/c/3.png"], "/a"),
        (["/a/./b/../c/1.png", "/a/c/2.png"], "/a"),
        (["here/1.png", "here/2.png"], os.path.abspath(".")),
    ],
)
def test_the_folder_above_holds_the_lowest_folder_of_all(paths, above):
    column = PathColumn.of(paths)
    assert column.folder_above() == above
    # Folders that only others of the photos lie in do not count.
    more = column.joined(PathColumn.of(["/elsewhere/x"]))
    assert more[: len(paths)].folder_above() == above


def test_a_folder_is_kept_once():
    column = PathColumn.of(f"/a/long/folder/{number % 2}/{number:04}" for number in range(1000))
    assert len(column.folders) == 2
    assert column.text.nbytes == 4000
    assert column.folder_of.nbytes + column.ends.nbytes == 12_000
