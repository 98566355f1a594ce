"""Evaluation images in batches: in order, without augmentation, as they are served."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.dataset import ArrayImages, FileImages, Split
from tl_toolkit.data.decode import MAGIC_BYTES, common_format
from tl_toolkit.data.decoded_cache import DECODED_CACHE_BYTES, DECODING
from tl_toolkit.data.parallelism import FILES_AT_ONCE, PREFETCHED
from tl_toolkit.data.resize import (
    resize_files_for_evaluation,
    resize_paths_for_evaluation,
    resize_pixels_for_evaluation,
)
from tl_toolkit.progress import SILENT, Progress

Batch = tuple[tf.Tensor, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class EvaluationBatches:
    """The examples in order, without augmentation, each batch computed while the one before is used.

    By a function that is traced once in a process: a `tf.data` pipeline takes longer to start than to decode a
    few dozen photos.

    Iterates over (float32[batch, size, size, 3] pixels 0-255, int64[batch] labels); the last batch may be
    smaller.

    Attributes:
        split: The examples.
        preprocessing: Gives the size, the crop and the interpolation.
        batch_size: Images of a batch.

    Raises:
        tf.errors.InvalidArgumentError: While it iterates: an image is damaged.
        OSError: Likewise: a file cannot be read.
    """

    split: Split
    preprocessing: Preprocessing
    batch_size: int

    def __iter__(self) -> Iterator[Batch]:
        with (
            concurrent.futures.ThreadPoolExecutor(FILES_AT_ONCE) as readers,
            concurrent.futures.ThreadPoolExecutor(1) as ahead,
        ):
            waiting: collections.deque[concurrent.futures.Future[Batch]] = collections.deque()
            try:
                for start in range(0, len(self.split), self.batch_size):
                    waiting.append(ahead.submit(self._batch, start, readers))
                    if len(waiting) > PREFETCHED:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # the loop over it may end early
                for batch in waiting:
                    batch.cancel()

    def _batch(self, start: int, readers: concurrent.futures.Executor) -> Batch:
        images = self.split.images
        positions = np.arange(start, min(start + self.batch_size, len(self.split)))
        with tf.device("CPU:0"):
            labels = tf.constant(self.split.labels[positions])
            if isinstance(images, ArrayImages):
                pixels = tf.constant(images.pixels[positions])
                return resize_pixels_for_evaluation(pixels, self.preprocessing), labels
            pixels = self._of_paths(positions)
            if pixels is None:
                pixels = self._of_contents(positions, readers)
            return pixels, labels

    def _of_paths(self, positions: np.ndarray) -> tf.Tensor | None:
        """Returns float32[n, size, size, 3], read by TensorFlow alone: no two copies of every file, no waiting for Python.

        None where that is not possible, or fails: reading by Python says why.
        """
        images = self.split.images
        if not isinstance(images, FileImages):
            return None
        if images.value_range is not None or self.preprocessing.value_range is not None:
            return None
        paths = [os.fsencode(path) for path in images.paths[positions]]
        try:
            known = common_format([_first_bytes(path) for path in paths])
            return resize_paths_for_evaluation(tf.constant(paths), self.preprocessing, known)
        except (OSError, tf.errors.OpError):
            return None

    def _of_contents(
        self, positions: np.ndarray, readers: concurrent.futures.Executor
    ) -> tf.Tensor:
        # Files at once are decoded by one call; those of the next call are read meanwhile.
        def read(first: int) -> list[concurrent.futures.Future[bytes]]:
            several = positions[first : first + FILES_AT_ONCE]
            return [readers.submit(self.split.images.encoded, position) for position in several]

        parts, reading = [], read(0)
        for first in range(FILES_AT_ONCE, len(positions) + FILES_AT_ONCE, FILES_AT_ONCE):
            contents = tf.constant([file.result() for file in reading])
            reading = read(first)
            parts.append(resize_files_for_evaluation(contents, self.preprocessing))
        return tf.concat(parts, axis=0)


def _first_bytes(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAGIC_BYTES)


def decoded_evaluation_batches(
    split: Split,
    preprocessing: Preprocessing,
    batch_size: int,
    progress: Progress = SILENT,
) -> Iterable[Batch]:
    """As `EvaluationBatches`, for a split that is needed every epoch: decoded once if it fits in memory."""
    batches = EvaluationBatches(split, preprocessing, batch_size)
    bytes_of_all = len(split) * preprocessing.image_size**2 * 3 * 4
    if bytes_of_all > DECODED_CACHE_BYTES:
        return batches
    kept = []
    with progress.stage(DECODING, total=len(split)) as stage:
        for images, labels in batches:
            kept.append((images, labels))
            stage.advance(len(labels))
    return kept
