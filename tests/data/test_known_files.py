"""Columns of known files say what a dictionary of them would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl_toolkit.data import known_files as module
from tl_toolkit.data.known_files import KnownFiles, keys_of, read_known_files, write_known_files

NAMES = [f"/photos/{k}.png" for k in range(6)] + ["/photos/caf\udce9.png"]
READ = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.integers(0, 2**62), st.integers(0, 255)), max_size=7
)
ROUNDS = st.lists(st.tuples(READ, st.sampled_from([None, "a", "b"])), max_size=5)


def columns(read):
    """Keys, stamps and digests of what was read: (size, last byte of the digest) by path."""
    stamps = np.array([[size, 1, 2, 3] for size, _ in read.values()], np.int64).reshape(-1, 4)
    digests = np.zeros((len(read), 8), np.uint8)
    digests[:, 7] = [end for _, end in read.values()]
    return keys_of(list(read)), stamps, digests


def updated(known, keys, stamps, digests, check):
    """What is known once these files were read."""
    more = known.with_room_for(keys, check)
    more.take_in(more.rows_of(keys), stamps, digests, check)
    return more.without_unread()


@given(ROUNDS)
def test_what_is_known_is_what_was_read_last_and_all_checks_of_the_same_file(rounds):
    known, expected = read_known_files(None), {}
    for read, check in rounds:
        known = updated(known, *columns(read), check)
        for path, facts in read.items():
            before = expected.get(path, (None, set()))
            kept = before[1] if before[0] == facts else set()
            expected[path] = facts, kept | ({check} - {None})
    assert len(known) == len(expected)
    rows = known.rows_of(keys_of(NAMES))
    assert {name for name, row in zip(NAMES, rows, strict=True) if row >= 0} == set(expected)
    for path, row in zip(NAMES, rows, strict=True):
        if row >= 0:
            (size, end), checks = expected[path]
            assert known.stamps[row].tolist() == [size, 1, 2, 3]
            assert known.digests[row].tolist() == [0] * 7 + [end]
            assert {name for name in "ab" if known.has_passed(name)[row]} == checks


def test_a_path_that_was_read_twice_at_once_is_known_once():
    keys, stamps, digests = columns({"/a": (5, 6), "/b": (7, 8)})
    both = [np.concatenate([part, part]) for part in (keys, stamps, digests)]
    known = updated(updated(read_known_files(None), *both, "a"), *both, "b")
    assert len(known) == 2
    assert known.has_passed("a").all()
    assert known.has_passed("b").all()
    assert known.checks == ("a", "b")


def test_what_could_not_be_read_is_not_known():
    keys, stamps, digests = columns({"/a": (5, 6), "/b": (7, 8), "/c": (9, 9)})
    known = updated(read_known_files(None), keys[:1], stamps[:1], digests[:1], "a")
    more = known.with_room_for(keys, "a")
    more.take_in(more.rows_of(keys[2:]), stamps[2:], digests[2:], "a")
    found = more.without_unread()
    assert (found.rows_of(keys) >= 0).tolist() == [True, False, True]
    assert known.stamps.tolist() == [[5, 1, 2, 3]]


def test_names_of_checks_are_forgotten_together_when_there_are_too_many():
    known = read_known_files(None)
    for number in range(module.MOST_CHECKS):
        known = updated(known, *columns({"/a": (1, 1)}), f"check {number}")
    assert all(known.has_passed(f"check {number}").all() for number in range(module.MOST_CHECKS))
    known = updated(known, *columns({"/b": (1, 1)}), "one more")
    assert known.checks == ("one more",)
    assert known.has_passed("one more")[known.rows_of(keys_of(["/a", "/b"]))].tolist() == [
        False,
        True,
    ]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")  # a file left open
def test_what_is_written_is_read_and_what_is_not_sound_is_nothing(tmp_path):
    known = updated(read_known_files(None), *columns({"/a": (5, 6), "/b": (7, 8)}), "a")
    place = tmp_path / "deep" / "known.npz"
    write_known_files(place, known)
    found = read_known_files(place)
    for name in ("keys", "stamps", "digests", "passed", "checks"):
        np.testing.assert_array_equal(getattr(found, name), getattr(known, name))
    whole = place.read_bytes()
    for damaged in (b"", b"{}", whole[: len(whole) // 2]):
        place.write_bytes(damaged)
        assert len(read_known_files(place)) == 0
    wrong = KnownFiles(known.keys, known.stamps[:1], known.digests, known.passed, known.checks)
    write_known_files(place, wrong)
    assert len(read_known_files(place)) == 0
    assert len(read_known_files(tmp_path / "none.npz")) == 0


def test_a_disk_without_room_is_no_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    write_known_files(tmp_path / "file" / "known.npz", read_known_files(None))
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_a_file_takes_56_bytes(count):
    keys = keys_of([f"/photos/{k}" for k in range(count)])
    read = np.zeros((count, 4), np.int64), np.zeros((count, 8), np.uint8)
    known = updated(read_known_files(None), keys, *read, "a")
    parts = (known.keys, known.stamps, known.digests, known.passed)
    assert sum(part.nbytes for part in parts) == 56 * count
