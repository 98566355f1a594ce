"""A manifest notices every damage to what it lists, and to itself, and minds nothing else."""

import json
import shutil

import pytest
from damage import KINDS, MANY, damage, files_of, randoms
from hypothesis import given
from hypothesis import strategies as st

import tl_toolkit as tl
from tl_toolkit.errors import InputError
from tl_toolkit.files.checked_json import CHECKSUM, read_checked_json, write_checked_json
from tl_toolkit.files.manifest import (
    MANIFEST,
    Verification,
    check_file,
    check_files,
    list_anew,
    verify,
    write_manifest,
)

FILES = {"a.json": b'{"a": 1}', "part/b.bin": bytes(range(200)), "part/deep/c.txt": b"c\n" * 9}


@pytest.fixture
def folder(tmp_path):
    """A finished folder with a part that has a manifest of its own, and a file of the user's."""
    root = tmp_path / "done"
    for name, contents in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(contents)
    write_manifest(root / "part", ["b.bin", "deep/c.txt"])
    write_manifest(root, files_of(root))
    (root / "mine.txt").write_text("mine")
    return root


def test_each_file_is_listed_once_by_the_manifest_nearest_to_it(folder):
    outer, inner = (read_checked_json(p / MANIFEST)["files"] for p in (folder, folder / "part"))
    assert set(outer) == {"a.json", f"part/{MANIFEST}"}
    assert set(inner) == {"b.bin", "deep/c.txt"}
    assert inner["b.bin"]["size"] == 200
    # The figure that `sha256sum` gives.
    expected = "1901da1c9f699b48f6b2636e65cbf73abf99d0441ef67f5c540a42f7051dec6f"
    assert inner["b.bin"]["sha256"] == expected


def test_a_whole_folder_and_a_part_of_it_elsewhere_are_whole(folder, tmp_path):
    found = verify(folder)
    assert (found.is_whole, found.unknown) == (True, ("mine.txt",))
    assert set(found.intact) == {*FILES, f"part/{MANIFEST}"}
    shutil.copytree(folder / "part", tmp_path / "copy")
    assert verify(tmp_path / "copy") == Verification(
        tmp_path / "copy", ("b.bin", "deep/c.txt"), {}, (), ()
    )
    (tmp_path / "copy" / "b.bin").write_bytes(b"other")
    with pytest.raises(InputError, match=r"b\.bin' is damaged: it has 5 bytes and was written wi"):
        check_files(tmp_path / "copy")
    check_files(tmp_path / "copy", but=["b.bin"])


def outcome(call, *arguments):
    try:
        return str(call(*arguments))
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(where=randoms)
def test_every_damage_is_named_and_nothing_else(folder, kind, where):
    for name in FILES:
        with damage(folder / name, kind, where):
            found = verify(folder)
            assert (set(found.damaged), found.missing, found.unknown) == (
                {name},
                (),
                ("mine.txt",),
            )
            assert len(found.intact) == len(FILES)
            root = folder / "part" if name.startswith("part") else folder
            with pytest.raises(InputError, match=f"{name}' is damaged: it has .*tl-toolkit verify"):
                check_file(folder / name, root)
    with damage(folder / "part" / MANIFEST, kind, where):
        found = verify(folder)
        assert (set(found.damaged), found.unknown) == ({f"part/{MANIFEST}"}, ("mine.txt",))
    with damage(folder / MANIFEST, kind, where):
        said = outcome(verify, folder)
        assert f"{MANIFEST}' is damaged" in said or said == str(verify(folder))  # white space
        assert "or remove it to use them unchecked" in said or verify(folder).is_whole
    check_files(folder)


def test_a_file_written_again_is_listed_anew_here_and_in_the_folder_around(folder):
    (folder / "part" / "b.bin").write_bytes(b"another")
    (folder / "part" / "new.txt").write_text("new")
    list_anew(folder / "part", ["b.bin", "new.txt"])
    verified = verify(folder)
    assert (verified.is_whole, verified.unknown) == (True, ("mine.txt",))
    assert {"part/b.bin", "part/new.txt", "a.json", "part/deep/c.txt"} <= set(verified.intact)
    (folder / "part" / "b.bin").write_bytes(b"changed again")
    assert list(verify(folder).damaged) == ["part/b.bin"]


def test_a_folder_without_a_manifest_gets_none(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    list_anew(tmp_path, ["a.txt"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_gone_is_missing(folder):
    (folder / "a.json").unlink()
    (folder / "part" / "b.bin").unlink()
    found = verify(folder)
    assert (found.is_whole, found.missing, found.damaged) == (False, ("a.json", "part/b.bin"), {})
    with pytest.raises(InputError, match=r"a\.json' is missing\. Restore it from a copy"):
        check_file(folder / "a.json")
    shutil.rmtree(folder / "part")
    found = verify(folder)
    assert (found.missing, found.unknown) == (("a.json", f"part/{MANIFEST}"), ("mine.txt",))


def test_nothing_is_checked_without_a_manifest_or_outside_it(folder, tmp_path):
    (folder / "mine.txt").write_text("changed")
    check_file(folder / "mine.txt")
    (folder / "a.json").write_text("{}")
    shutil.copy(folder / "a.json", tmp_path / "a.json")
    check_file(tmp_path / "a.json")
    check_file(tmp_path / ("x" * 5000))
    (folder / MANIFEST).unlink()
    check_file(folder / "a.json")
    with pytest.raises(InputError, match=rf"has no {MANIFEST}.*earlier versions wrote none"):
        verify(folder)
    with pytest.raises(InputError, match="is not a folder"):
        verify(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is not a folder"):
        verify("~nobody-at-all/run")


@MANY
@given(
    values=st.dictionaries(
        st.text(), st.recursive(st.none() | st.floats() | st.text(), st.lists), max_size=4
    ),
    kind=st.sampled_from(KINDS),
    where=randoms,
)
def test_a_checked_file_is_what_was_written_or_refused(values, kind, where, tmp_path):
    values.pop(CHECKSUM, None)
    path = tmp_path / "values.json"
    write_checked_json(path, values)
    same = json.dumps(values, sort_keys=True)
    assert json.dumps(read_checked_json(path), sort_keys=True) == same
    with damage(path, kind, where):
        try:
            read = read_checked_json(path)
        except ValueError:
            return
        # A letter of the word "checksum", or white space.
        assert json.dumps({k: read[k] for k in values}, sort_keys=True) == same


def test_it_is_public(folder):
    assert tl.verify(folder).is_whole
    assert tl.Verification is Verification
