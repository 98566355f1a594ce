"""Samples of tar shards: which files belong together, where the label is, what is damaged."""

import json
import re
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_files import read_until_damage, write_tar, write_wds

from tl_toolkit.data.shard_samples import DamagedShardError
from tl_toolkit.data.tar_shards import tar_samples


def read(path, **options):
    return list(tar_samples(str(path), options))


def labels(path, **options):
    return [(s.label, s.found_in) for s in read(path, **options)]


def test_webdatasets_own_writer_is_read(tmp_path):
    path = write_wds(
        tmp_path / "a.tar",
        [{"__key__": f"dir/{k:06d}", "jpg": b"photo %d" % k, "cls": k} for k in range(3)],
    )
    samples = read(path)
    assert [(s.name, s.contents, s.label, s.fault) for s in samples] == [
        (f"dir/{k:06d}.jpg", b"photo %d" % k, str(k), "") for k in range(3)
    ]
    whole = path.read_bytes()
    assert all(whole[s.offset :].startswith(s.contents) for s in samples)


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=1500), st.integers(0, 99)), max_size=6),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 250),
    st.booleans(),
)
def test_every_image_is_found_at_its_place(tmp_path_factory, samples, kind, name_length, first):
    if kind == tarfile.USTAR_FORMAT:
        name_length = min(name_length, 60)
    members = []
    for number, (contents, label) in enumerate(samples):
        key = f"dir.d/{'n' * name_length}{number}"
        pair = [(f"{key}.png", contents), (f"{key}.cls", str(label).encode())]
        members += pair if first else pair[::-1]
    path = write_tar(tmp_path_factory.mktemp("tar") / "a.tar", members, format=kind)
    found, whole = read(path), path.read_bytes()
    assert [(s.contents, s.label) for s in found] == [(c, str(n)) for c, n in samples]
    assert all(whole[s.offset : s.offset + len(s.contents)] == s.contents for s in found)


@pytest.mark.parametrize(
    ("files", "label", "found_in"),
    [
        ({"cls": b"7\n"}, "7", ".cls"),
        ({"cls": b"cat"}, "cat", ".cls"),
        ({"cls": b"007"}, "007", ".cls"),
        ({"CLS": b"1"}, "1", ".cls"),
        ({"txt": "Käfer".encode()}, "Käfer", ".txt"),
        ({"json": b'{"label": 3, "class": "x"}'}, "3", "'label' of .json"),
        ({"json": b'{"caption": "a", "class_name": "oak"}'}, "oak", "'class_name' of .json"),
        ({"json": b'{"caption": "a"}', "txt": b"elm"}, "elm", ".txt"),
        ({"txt": b"a caption", "json": b'{"label": 3}', "cls": b"4"}, "4", ".cls"),
    ],
)
def test_labels_are_found(tmp_path, files, label, found_in):
    members = [("a.jpg", b"photo"), *((f"a.{e}", contents) for e, contents in files.items())]
    assert labels(write_tar(tmp_path / "a.tar", members)) == [(label, found_in)]


def test_options_choose_image_and_label(tmp_path):
    files = {
        "input.jpg": b"one",
        "jpg": b"two",
        "cls": b"1",
        "meta.json": json.dumps({"genus": "Quercus"}).encode(),
        "json": json.dumps({"genus": "Ulmus", "label": 5}).encode(),
        "species": b"robur",
    }
    path = write_tar(tmp_path / "a.tar", [(f"k.{e}", contents) for e, contents in files.items()])
    assert [s.contents for s in read(path)] == [b"two"]
    assert [s.contents for s in read(path, image="input.jpg")] == [b"one"]
    assert labels(path, label="species") == [("robur", ".species")]
    assert labels(path, field="genus") == [("Ulmus", "'genus' of .json")]
    assert labels(path, label="meta.json", field="genus") == [("Quercus", "'genus' of .meta.json")]


@pytest.mark.parametrize(
    ("files", "options", "fault"),
    [
        ({"jpg": b"x"}, {}, "no label beside it"),
        ({"json": b"{}"}, {}, "no image beside it, only .json"),
        ({"jpg": b"x", "cls": b" \n"}, {}, "its .cls should hold a label and is empty"),
        (
            {"jpg": b"x", "txt": b"a\nb"},
            {},
            "its .txt should hold a label and is more than one line",
        ),
        ({"jpg": b"x", "cls": b"\xff"}, {}, "its .cls is not UTF-8 text"),
        ({"jpg": b"x", "json": b"{"}, {}, "its .json is no JSON"),
        ({"jpg": b"x", "json": b"[1]"}, {}, "its .json holds no fields"),
        ({"jpg": b"x", "json": b'{"label": [1]}'}, {}, r"its label \[1\] is neither"),
        ({"jpg": b"x", "json": b'{"label": true}'}, {}, "its label True is neither"),
        ({"jpg": b"x", "json": b'{"class": 1, "target": 2}'}, {}, "in class, target: choose one"),
        ({"jpg": b"x", "json": b'{"class": 1}'}, {"field": "kind"}, "has no field 'kind'"),
        ({"jpg": b"x", "cls": b"1"}, {"label": "txt"}, "no .txt beside it"),
    ],
)
def test_a_sample_without_image_or_label_says_why(tmp_path, files, options, fault):
    members = [(f"a.{e}", contents) for e, contents in files.items()]
    members += [("b.jpg", b"y"), ("b.cls", b"1")]
    first, *_ = read(write_tar(tmp_path / "a.tar", members), **options)
    assert re.search(fault, first.fault)


def test_what_is_no_sample_is_left_out(tmp_path):
    members = [
        ("photos", None),
        ("photos/README", b"text"),
        ("photos/._a.jpg", b"of a Mac"),
        ("__meta__/x.json", b"{}"),
        ("photos/a.jpg", b"x"),
        ("photos/a.cls", b"1"),
    ]
    assert labels(write_tar(tmp_path / "a.tar", members)) == [("1", ".cls")]


def test_files_of_one_name_that_do_not_follow_each_other_are_two_samples(tmp_path):
    members = [("a.jpg", b"x"), ("b.jpg", b"y"), ("a.cls", b"1"), ("b.cls", b"2")]
    faults = [s.fault for s in read(write_tar(tmp_path / "a.tar", members))]
    assert [fault.split(",")[0].split(":")[0] for fault in faults] == [
        "no label beside it",
        "no label beside it",
        "no image beside it",
        "no image beside it",
    ]


def three(tmp_path):
    members = [
        (f"{k}.{ending}", contents)
        for k in range(3)
        for ending, contents in (("jpg", bytes([k]) * 700), ("cls", b"1"))
    ]
    return write_tar(tmp_path / "a.tar", members)


def test_wherever_a_shard_is_cut_it_is_said_and_what_stands_before_is_read(tmp_path):
    path = three(tmp_path)
    whole, sound = path.read_bytes(), read(path)
    end = max(s.offset + 1024 for s in sound) + 1024  # of the last label
    for length in (*range(0, end, 256), *range(1, end, 509)):
        path.write_bytes(whole[:length])
        found, message = read_until_damage(tar_samples(str(path), {}))
        assert str(path) in message
        assert "byte" in message
        usable = [s for s in found if not s.fault]
        assert usable == sound[: len(usable)]
        assert len(usable) >= sum(s.offset + 1024 + 512 + 512 <= length for s in sound) - 1


def test_a_damaged_header_does_not_pass_for_the_end(tmp_path):
    path = three(tmp_path)
    whole = bytearray(path.read_bytes())
    second = read(path)[1].offset - 512
    whole[second + 5] ^= 255
    path.write_bytes(whole)
    found, message = read_until_damage(tar_samples(str(path), {}))
    assert f"holds no file's header, nor the end, at byte {second:,}" in message
    assert [s.name for s in found] == ["0.jpg"] or found == []


@pytest.mark.parametrize("contents", [b"", b"no tar file", b"x" * 2000])
def test_what_is_no_tar_file_is_refused(tmp_path, contents):
    path = tmp_path / "a.tar"
    path.write_bytes(contents)
    with pytest.raises(DamagedShardError, match=r"a\.tar"):
        read(path)
