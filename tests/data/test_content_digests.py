"""Files are told by their contents, and read again only where they changed."""

import hashlib
import os

import numpy as np
import pytest

from tl_toolkit.data import content_digests as module
from tl_toolkit.data.content_digests import content_digests, digest_texts, file_digests
from tl_toolkit.data.dataset import ArrayImages, EncodedImages, FileImages, Split
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import UnavailableError


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


def refuse_b(contents, digest):
    seen.append(contents)
    if contents == b"b":
        raise InputError("it is b")


def digests_of(paths, check=None):
    """The digest of each file as text, or what reading or checking it raised."""
    found = file_digests(PathColumn.of(paths), check)
    texts = digest_texts(found.values).tolist()
    return [found.faults.get(position, text) for position, text in enumerate(texts)]


seen = []


@pytest.fixture(autouse=True)
def _nothing_seen():
    seen.clear()


def test_files_are_told_as_their_contents_are(files):
    in_memory = EncodedImages(np.array([b"a", b"b", b"c"], object))
    expected = content_digests(Split.of(in_memory, [0, 0, 0]))
    assert content_digests(Split.of(FileImages(np.array(files)), [0, 0, 0])).tolist() == list(
        expected
    )
    assert len(set(expected)) == 3
    assert content_digests(None).tolist() == digests_of([]) == []


def test_arrays_are_told_by_their_pixels_and_shape_and_never_encoded(monkeypatch):
    def encode(self, index):
        raise AssertionError("an image was encoded")

    monkeypatch.setattr(ArrayImages, "encoded", encode)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 8, 2, 3), np.uint8)
    pixels[7] = pixels[3]
    digests = content_digests(Split.of(ArrayImages(pixels), np.zeros(300)))
    assert digests[7] == digests[3]
    assert len(set(digests)) == 299
    turned = content_digests(Split.of(ArrayImages(pixels.reshape(300, 2, 8, 3)), np.zeros(300)))
    assert not set(turned) & set(digests)


def test_a_file_is_checked_once_and_a_bad_one_every_time(files):
    digests = digests_of(files)  # known by now, but not checked
    first = digests_of(files, refuse_b)
    assert sorted(seen) == [b"a", b"b", b"c"]
    assert (first[0], first[2]) == (digests[0], digests[2])
    assert isinstance(first[1], InputError)
    seen.clear()
    assert str(digests_of(files, refuse_b)[1]) == "it is b"
    assert seen == [b"b"]
    assert digests_of(files) == digests


def test_a_file_that_changed_is_read_and_checked_again(files):
    before = digests_of(files, refuse_b)
    with open(files[0], "wb") as file:
        file.write(b"d")
    os.utime(files[0], ns=(1, 1))
    seen.clear()
    after = digests_of(files, refuse_b)
    assert seen.count(b"d") == 1
    assert after[0] != before[0]
    assert after[2] == before[2]


def test_a_file_that_is_gone_is_an_error_in_its_place(files):
    os.unlink(files[1])
    found = digests_of(files)
    assert isinstance(found[1], FileNotFoundError)
    assert isinstance(found[0], str)
    with pytest.raises(FileNotFoundError):
        content_digests(Split.of(FileImages(np.array(files)), [0, 0, 0]))


def test_without_a_place_for_a_cache_the_files_are_read_each_time(tmp_path, monkeypatch):
    def nowhere():
        raise UnavailableError("no folder")

    monkeypatch.setattr(module, "cache_folder", nowhere)
    (tmp_path / "a.png").write_bytes(b"a")
    checked = []
    for _ in range(2):
        (digest,) = digests_of(
            [str(tmp_path / "a.png")], lambda contents, digest: checked.append(contents)
        )
        assert digest == hashlib.blake2b(b"a", digest_size=8).hexdigest()
    assert checked == [b"a", b"a"]
