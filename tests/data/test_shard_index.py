"""What is kept of a shard: where its images lie, and what is wrong with the others."""

import os

import numpy as np
import pytest
from shard_files import write_tar, write_wds

from tl_toolkit.data.content_digests import bytes_digest
from tl_toolkit.data.shard_index import index_shards
from tl_toolkit.data.tar_shards import tar_samples
from tl_toolkit.errors import InputError


@pytest.fixture
def reads(tmp_path, monkeypatch):
    """A function that indexes shards in a cache of its own, and the list of those that it had to read."""
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    read = []

    def samples(path):
        read.append(os.path.basename(path))
        return tar_samples(path, {})

    def index(*paths, options=None, **others):
        return index_shards([str(path) for path in paths], samples, "wds", options or {}, **others)

    index.read = read
    return index


@pytest.fixture
def shard(tmp_path, photo, encoded):
    """A function that writes a shard of photos with these labels."""

    def write(name, labels, seed=0):
        samples = [
            {"__key__": str(k), "jpg": encoded(photo(seed + k), "JPEG"), "cls": label}
            for k, label in enumerate(labels)
        ]
        return write_wds(tmp_path / name, samples)

    return write


def test_columns_say_where_each_image_lies(shard, reads):
    path = shard("a.tar", [7, 3, 7])
    (index,) = reads(path)
    whole = path.read_bytes()
    contents = [
        whole[at : at + length]
        for at, length in zip(index.offset.tolist(), index.length.tolist(), strict=True)
    ]
    assert all(c.startswith(b"\xff\xd8") and c.endswith(b"\xff\xd9") for c in contents)
    assert [row.tobytes().hex() for row in index.digest] == [bytes_digest(c) for c in contents]
    assert index.names[index.label].tolist() == ["7", "3", "7"]
    assert (index.found_in.tolist(), str(index.damage), len(index.reason)) == ([".cls"], "", 0)
    assert (index.offset.dtype, index.label.dtype) == (np.int64, np.int32)


def test_a_shard_is_read_once_and_again_where_it_changed(shard, reads):
    a, b = shard("a.tar", [0, 1]), shard("b.tar", [0, 1], seed=10)
    first = reads(a, b)
    assert reads.read == ["a.tar", "b.tar"]
    second = reads(a, b)
    assert reads.read == ["a.tar", "b.tar"]
    for one, other in zip(first, second, strict=True):
        for name, column in vars(one).items():
            np.testing.assert_array_equal(column, vars(other)[name], name)
            assert column.dtype == vars(other)[name].dtype
    shard("b.tar", [1, 1, 1], seed=20)
    assert [len(index) for index in reads(a, b)] == [2, 3]
    assert reads.read == ["a.tar", "b.tar", "b.tar"]
    reads(a, options={"image": "jpg"})
    assert reads.read[3:] == ["a.tar"]


def test_a_damaged_cache_is_made_again(shard, reads, tmp_path):
    path = shard("a.tar", [0, 1])
    reads(path)
    (kept,) = (tmp_path / "cache" / "shards").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert len(reads(path)[0]) == 2
    assert reads.read == ["a.tar", "a.tar"]
    reads(path)
    assert len(reads.read) == 2


def test_without_room_for_it_nothing_is_kept(shard, reads, tmp_path):
    (tmp_path / "cache").write_bytes(b"a file where the folder would be")
    path = shard("a.tar", [0, 1])
    assert len(reads(path)[0]) == len(reads(path)[0]) == 2
    assert len(reads.read) == 2


def test_bad_images_are_listed_and_left_out(tmp_path, reads, photo, encoded):
    good = encoded(photo(0), "JPEG")
    members = [
        ("a.jpg", good),
        ("a.cls", b"1"),
        ("b.jpg", good[: len(good) // 2]),
        ("b.cls", b"1"),
        ("c.png", b"no photo"),
        ("c.cls", b"1"),
        ("d.jpg", good),
    ]
    (index,) = reads(write_tar(tmp_path / "a.tar", members))
    assert len(index) == 1
    assert index.bad_name.tolist() == ["b.jpg", "c.png", "d.jpg"]
    assert index.reason[0] == "damaged or cut short"
    assert index.reason[1] == "not a photo in a known format"
    assert index.reason[2].startswith("no label beside it")


def test_damage_is_kept_with_what_stands_before_it(shard, reads):
    path = shard("a.tar", [0, 1, 0])
    (sound,) = reads(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(sound.offset[2]) + 10])
    for _ in range(2):
        (index,) = reads(path)
        assert "is cut short at byte" in str(index.damage)
        assert len(index) == 2
    assert reads.read == ["a.tar", "a.tar"]


def test_progress_counts_megabytes(tmp_path, reads, recorded_progress, photo, encoded):
    large = encoded(photo(0, 900, 900), "BMP")  # 2.43 MB
    members = [m for k in range(2) for m in ((f"{k}.bmp", large), (f"{k}.cls", b"1"))]
    path = write_tar(tmp_path / "a.tar", members)
    reads(path, progress=recorded_progress)
    reads(path, progress=recorded_progress)
    assert recorded_progress.stages == [
        ("Checking photos in shards (MB)", 4, 4),
        ("Checking photos in shards (MB)", 0, 0),
    ]


@pytest.mark.parametrize(("mode", "name"), [("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")])
def test_a_compressed_shard_is_refused(tmp_path, reads, mode, name):
    path = write_tar(tmp_path / "a.tar", [("a.jpg", b"x")], mode=mode)
    with pytest.raises(InputError, match=rf"a\.tar' is compressed \({name}\).*decompress it"):
        reads(path)


def test_a_shard_that_is_not_there_is_named(tmp_path, reads):
    with pytest.raises(InputError, match=r"Cannot read the shard .*b\.tar': No such file"):
        reads(tmp_path / "b.tar")
