"""Images in shards are read at their places, in any order, by Python and by graphs."""

import os

import numpy as np
import pytest
import tensorflow as tf

from tl_toolkit.data.content_digests import bytes_digest, digests_of_images
from tl_toolkit.data.decode import decode_image
from tl_toolkit.data.shard_images import ShardImages, read_at
from tl_toolkit.errors import InputError


@pytest.fixture
def written(tmp_path, photo, encoded):
    """Six photos' contents, and the `ShardImages` of two shards that hold them between other bytes."""
    contents = [encoded(photo(k), "PNG" if k % 2 else "JPEG") for k in range(5)]
    contents.append(encoded(photo(5), "TIFF"))
    shards, shard, offset = [], [], []
    for number in range(2):
        path, whole = tmp_path / f"{number}.shard", b""
        for k in range(number, 6, 2):
            whole += b"between"
            shard.append(number)
            offset.append(len(whole))
            whole += contents[k]
        path.write_bytes(whole)
        shards.append(str(path))
    order = [contents[k] for number in range(2) for k in range(number, 6, 2)]
    digests = np.array([list(bytes.fromhex(bytes_digest(c))) for c in order], np.uint8)
    images = ShardImages(
        np.array(shards, object),
        np.array(shard, np.int32),
        np.array(offset, np.int64),
        np.array([len(c) for c in order], np.int64),
        digests,
    )
    return order, images


def test_each_image_is_read_by_itself(written):
    contents, images = written
    assert [images.identity(k) for k in range(len(images))] == contents
    assert images.encoded(0) == contents[0]
    assert images.encoded(5).startswith(b"\x89PNG")


def test_parts_hold_the_images_that_were_asked_for(written):
    contents, images = written
    part = images.take(np.array([4, 0]))
    both = part.joined(images.take(np.array([5, 1])))
    assert [both.identity(k) for k in range(len(both))] == [contents[k] for k in (4, 0, 5, 1)]
    assert both.digests().tolist() == [bytes_digest(contents[k]) for k in (4, 0, 5, 1)]


def test_digests_are_those_of_the_contents_and_nothing_is_read_for_them(written):
    contents, images = written
    for path in images.shards:
        with open(path, "wb"):
            pass
    assert digests_of_images(images).tolist() == [bytes_digest(c) for c in contents]
    assert digests_of_images(images.take(np.array([], int))).tolist() == []


@pytest.mark.slow
def test_graphs_read_them_in_any_order(written):
    _, images = written
    load = images.loader()
    order = [3, 5, 0, 4, 1, 2, 3]
    pipeline = tf.data.Dataset.from_tensor_slices(np.array(order, np.int64))
    pipeline = pipeline.map(lambda number: load(number).pixels(), num_parallel_calls=2)
    for number, pixels in zip(order, pipeline, strict=True):
        np.testing.assert_array_equal(pixels, decode_image(images.encoded(number)))


def test_a_shard_that_became_shorter_is_said(written):
    _, images = written
    with open(images.shards[1], "r+b") as file:
        file.truncate(int(images.offset[5]) + 3)
    with pytest.raises(InputError, match=r"1\.shard' ends before byte .*: it was changed after"):
        images.identity(5)


def test_a_read_that_comes_in_pieces_is_whole(written, monkeypatch):
    contents, images = written
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda file, count, at: whole(file, min(count, 100), at))
    place = images.shards[0], int(images.offset[1]), int(images.length[1])
    assert read_at(*place) == contents[1]
