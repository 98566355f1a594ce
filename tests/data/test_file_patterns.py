"""Braces and stars in names of files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl_toolkit.data.file_patterns import expanded, files_of_pattern
from tl_toolkit.errors import InputError


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{0..2}.tar", ["a-0.tar", "a-1.tar", "a-2.tar"]),
        ("a-{008..010}.tar", ["a-008.tar", "a-009.tar", "a-010.tar"]),
        ("a-{8..10}", ["a-8", "a-9", "a-10"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{b,a}-{0..1}", ["b-0", "b-1", "a-0", "a-1"]),
        ("{a,}b", ["ab", "b"]),
        ("{a}b", ["{a}b"]),
        ("{a..b}", ["{a..b}"]),
        ("a}{0..1}", ["a}0", "a}1"]),
    ],
)
def test_braces_stand_for_what_a_shell_makes_of_them(pattern, names):
    assert expanded(pattern) == names


@given(st.integers(0, 9999), st.integers(0, 30), st.integers(1, 8))
def test_a_padded_range_names_every_number_once(first, count, width):
    ends = [f"{number:0{width}d}" for number in (first, first + count)]
    names = expanded(f"s-{{{ends[0]}..{ends[1]}}}")
    assert [int(name[2:]) for name in names] == list(range(first, first + count + 1))
    assert names[0] == f"s-{ends[0]}"
    assert names[-1] == f"s-{ends[1]}"


@given(st.text(st.characters(exclude_characters="{}"), max_size=20))
def test_a_text_without_braces_stays_as_it_is(text):
    assert expanded(text) == [text]


@pytest.mark.parametrize("pattern", ["{0..9999999}", "{0..999}-{0..999}-{0..9}"])
def test_endless_patterns_are_refused(pattern):
    with pytest.raises(InputError, match="more than 1,000,000 files"):
        expanded(pattern)


def test_files_come_in_the_patterns_order_and_each_once(tmp_path):
    for name in ("b-1", "a-2", "a-1", "a-10"):
        (tmp_path / name).touch()
    (tmp_path / "a-folder").mkdir()
    found = files_of_pattern(tmp_path / "{b,a,b}-*")
    assert [path.name for path in found] == ["b-1", "a-1", "a-10", "a-2"]


def test_a_file_that_is_called_as_a_pattern_is_meant(tmp_path):
    odd = tmp_path / "a-{0..1}[x]"
    odd.touch()
    assert files_of_pattern(odd) == [odd]


def test_what_is_not_there_is_named(tmp_path):
    (tmp_path / "a-0.tar").touch()
    with pytest.raises(InputError, match=r"no file '.*a-1\.tar', which '.*\{0\.\.1\}\.tar' stands"):
        files_of_pattern(tmp_path / "a-{0..1}.tar")
    with pytest.raises(InputError, match=r"no file '.*b\*'\."):
        files_of_pattern(tmp_path / "b*")
