"""Images that lie in shards: big files, each of many images, of which any can be read by itself."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tl_toolkit.data.decodable_tensor import decodable_tensor
from tl_toolkit.data.lazy_image import EncodedLazyImage, LazyImage
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.errors import InputError

DIGEST_BYTES = 8


@dataclasses.dataclass(frozen=True)
class ShardImages:
    """Image files' contents, each at its place in a shard, read when they are needed.

    A shard is opened for every read: opening takes a small part of decoding's time, thousands of shards are more than a process
    may hold open, and every process and thread of a run reads by itself.

    Attributes:
        shards: object[shards], their paths.
        shard: int32[n], the shard of each image.
        offset: int64[n], where it begins, in bytes.
        length: int64[n], bytes.
        digest: uint8[n, 8], of its contents, as `bytes_digest` gives them in hexadecimal digits.
    """

    shards: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    digest: np.ndarray

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, indices: np.ndarray) -> ShardImages:
        return ShardImages(
            self.shards,
            self.shard[indices],
            self.offset[indices],
            self.length[indices],
            self.digest[indices],
        )

    def joined(self, other: ShardImages) -> ShardImages:
        return ShardImages(
            np.concatenate([self.shards, other.shards]),
            np.concatenate([self.shard, other.shard + np.int32(len(self.shards))]),
            np.concatenate([self.offset, other.offset]),
            np.concatenate([self.length, other.length]),
            np.concatenate([self.digest, other.digest]),
        )

    def loader(self) -> Callable[[tf.Tensor], LazyImage]:
        def load(number: tf.Tensor) -> LazyImage:
            # Python in a pipeline may call no TensorFlow: waiting for it, it could wait for its own thread.
            contents = tf.numpy_function(self.identity, [number], tf.string, stateful=False)
            return EncodedLazyImage(decodable_tensor(tf.ensure_shape(contents, ())))

        return load

    def view_loader(self) -> Callable[[tf.Tensor], LazyImage]:
        return self.loader()

    def view_contents(self) -> Callable[[int], bytes]:
        return self.encoded

    def encoded(self, index: int) -> bytes:
        return decodable(self.identity(index))

    def identity(self, index: int) -> bytes:
        path, offset = self.shards[self.shard[index]], int(self.offset[index])
        return read_at(path, offset, int(self.length[index]))

    def digests(self) -> np.ndarray:
        """Returns str[n], the digests in hexadecimal digits; nothing is read."""
        digits = np.frombuffer(self.digest.tobytes().hex().encode(), f"S{2 * DIGEST_BYTES}")
        return digits.astype(str)


def read_at(path: str, offset: int, length: int) -> bytes:
    """Returns a part of a file.

    Raises:
        InputError: The file ends before it.
        OSError: It cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        part = os.pread(file.fileno(), length, offset)
        while (
            0 < len(part) < length
        ):  # one call reads 2 GB at most, and from a network what has come
            more = os.pread(file.fileno(), length - len(part), offset + len(part))
            if not more:
                break
            part += more
    if len(part) < length:
        raise InputError(
            f"{path!r} ends before byte {offset + length:,}: it was changed after it was opened."
        )
    return part
