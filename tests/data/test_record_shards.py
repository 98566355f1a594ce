"""Samples of TFRecord shards: which features are taken, where the image lies, what is damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_files import example, read_until_damage, write_records

from tl_toolkit.data.record_shards import record_samples
from tl_toolkit.data.shard_samples import NO_NUMBER
from tl_toolkit.errors import InputError


def read(path, **options):
    return list(record_samples(str(path), options))


@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=400), st.integers(-9, 2**40), st.binary()),
        max_size=6,
    )
)
def test_every_image_is_found_at_its_place(tmp_path_factory, rows):
    path = write_records(
        tmp_path_factory.mktemp("records") / "a.tfrecord",
        [example(image=image, label=label, other=other) for image, label, other in rows],
    )
    found, whole = read(path), path.read_bytes()
    assert [(s.contents, s.label) for s in found] == [(i, str(n)) for i, n, _ in rows]
    assert all(whole[s.offset : s.offset + len(s.contents)] == s.contents for s in found)


@pytest.mark.parametrize(
    ("features", "options", "image", "label", "found_in", "number"),
    [
        ({"image__encoded": b"x", "image": b"y", "label": 3}, {}, b"x", "3", "'label'", NO_NUMBER),
        ({"image_raw": b"x", "class": b"oak"}, {}, b"x", "oak", "'class'", NO_NUMBER),
        (
            {"image": b"x", "image__class__label": 7},
            {},
            b"x",
            "7",
            "'image/class/label'",
            NO_NUMBER,
        ),
        (
            {"image": b"x", "image__class__label": 7, "image__class__text": b"crane"},
            {},
            *(b"x", "crane", "'image/class/text'", 7),
        ),
        (
            {"photo": b"x", "image": b"y", "kind": "Käfer".encode(), "label": 1},
            {"image": "photo", "label": "kind"},
            *(b"x", "Käfer", "'kind'", NO_NUMBER),
        ),
    ],
)
def test_features_are_found(tmp_path, features, options, image, label, found_in, number):
    (sample,) = read(write_records(tmp_path / "a", [example(**features)]), **options)
    assert (sample.contents, sample.label) == (image, label)
    assert (sample.found_in, sample.number, sample.fault) == (found_in, number, "")


@pytest.mark.parametrize(
    ("record", "options", "fault"),
    [
        (b"\xff\xff", {}, "no tf.train.Example"),
        (example(label=1), {}, "no feature image/encoded or image or image_raw; it has label"),
        (example(image=b"x"), {}, "no feature image/class/text or .* it has image .label=NAME"),
        (example(image=b"x", label=1), {"image": "photo"}, "no feature photo; it has image, label"),
        (example(image=[b"x", b"y"], label=1), {}, "its 'image' is not one string of bytes"),
        (example(image=3, label=1), {}, "its 'image' is not one string of bytes"),
        (example(image=b"x", label=0.5), {}, "'label' should be one text or whole number"),
        (example(image=b"x", label=[1, 2]), {}, "'label' should be one text or whole number"),
        (example(image=b"x", label=b""), {}, "'label' should be one text or whole number"),
        (example(image=b"x", label=b"\xff"), {}, "'label' is not UTF-8"),
    ],
    ids=range(10),  # the order of a record's features, and so its bytes, is not always the same
)
def test_a_record_without_image_or_label_says_why(tmp_path, record, options, fault):
    path = write_records(tmp_path / "a", [record, example(photo=b"y", image=b"y", label=1)])
    first, second = read(path, **options)
    with pytest.raises(InputError, match=fault):
        raise InputError(first.fault)
    assert second.fault == ""


def write_three(tmp_path):
    records = [example(image=bytes([65 + k]) * 300, label=k) for k in range(3)]
    path = write_records(tmp_path / "a.tfrecord", records)
    return path, path.read_bytes(), [k * (len(records[0]) + 16) for k in range(3)]


@pytest.mark.parametrize(
    ("place", "what"), [(0, "length"), (8, "its checksum"), (100, "data"), (-1, "its checksum")]
)
def test_any_changed_byte_is_noticed(tmp_path, place, what):
    path, whole, starts = write_three(tmp_path)
    changed = bytearray(whole)
    changed[(starts[1] + place) if place >= 0 else starts[2] + place] ^= 1
    path.write_bytes(changed)
    found, message = read_until_damage(record_samples(str(path), {}))
    assert [s.label for s in found] == ["0"]
    assert (
        f"a.tfrecord' is damaged, cut short or no TFRecord file: the record at byte {starts[1]:,}"
        in message
    )


@pytest.mark.parametrize("kept", [1, 11, 12, 200, -1])
def test_a_shard_that_is_cut_short_is_noticed(tmp_path, kept):
    path, whole, starts = write_three(tmp_path)
    path.write_bytes(whole[: starts[2] + kept] if kept > 0 else whole[:kept])
    found, message = read_until_damage(record_samples(str(path), {}))
    assert [s.label for s in found] == ["0", "1"]
    assert f"the record at byte {starts[2]:,}" in message


def test_a_file_that_cannot_be_read_says_so_in_the_systems_words(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        read(tmp_path / "a")
