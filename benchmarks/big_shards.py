"""TFRecord shards: seconds of the first opening, which checks every image, and of a second one; and the memory of both.

The images are one small PNG with a number behind its end, so that no two are copies: what is measured is finding,
remembering and grouping them.
"""

from __future__ import annotations

import functools
import io
import os
import pathlib
import tempfile

import numpy as np
from harness import Benchmark, Measured, main
from stopwatch import Stopwatch, peak_megabytes, seconds

A_SHARD = 10_000  # images
COUNTS = (100_000, 1_000_000)


def opened_twice(count: int) -> dict[str, Measured]:
    """Seconds, and megabytes at most: of the process, and of those what came after TensorFlow was imported.

    Args:
        count: Of the images.
    """
    from tl_toolkit.data.shards import load_tfrecord

    with tempfile.TemporaryDirectory() as place:
        os.environ["TL_TOOLKIT_CACHE"] = os.path.join(place, "cache")
        shards = pathlib.Path(place, "shards")
        write_shards(shards, count)
        imported = peak_megabytes()
        with Stopwatch() as watch:
            load_tfrecord(str(shards))
        first = watch.read()
        with Stopwatch() as watch:
            load_tfrecord(str(shards))
        second = watch.read()
        peak = peak_megabytes()
    return {
        "first": seconds(first),
        "second": seconds(second),
        "memory at most": Measured(peak, second, "MB"),
        "memory after imports": Measured(peak - imported, second, "MB"),
    }


def write_shards(folder: pathlib.Path, count: int) -> None:
    """Writes so many images of two classes."""
    import tensorflow as tf
    from PIL import Image

    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    folder.mkdir()
    for start in range(0, count, A_SHARD):
        with tf.io.TFRecordWriter(str(folder / f"{start:08}.tfrecord")) as writer:
            for number in range(start, min(start + A_SHARD, count)):
                example = tf.train.Example()
                features = example.features.feature
                contents = file.getvalue() + number.to_bytes(8, "little")
                features["image"].bytes_list.value.append(contents)
                features["label"].int64_list.value.append(number % 2)
                writer.write(example.SerializeToString())


BENCHMARK = Benchmark(
    title="Opening big shards",
    unit="seconds",
    cases={f"{count:,} images": functools.partial(opened_twice, count) for count in COUNTS},
    minutes=15,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
