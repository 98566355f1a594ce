"""Samples of TFRecord shards: records that are each a `tf.train.Example` with an encoded image and a label.

See https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from tl_toolkit.data.parallelism import without_autotuning
from tl_toolkit.data.shard_samples import NO_NUMBER, DamagedShardError, ShardSample
from tl_toolkit.data.shard_uri import IMAGE, LABEL

IMAGES = ("image/encoded", "image", "image_raw")
TEXT, NUMBER = "image/class/text", "image/class/label"
LABELS = (TEXT, NUMBER, "label", "class")
BEFORE, AROUND = 12, 16  # bytes of a record's length and checksums before its data, and in all


def record_samples(path: str, options: Mapping[str, str]) -> Iterator[ShardSample]:
    """Reads a shard from its begin to its end; TensorFlow checks the checksums of lengths and data.

    Args:
        path: Of the shard.
        options: `image` and `label`: names of the features; by default the first of `IMAGES` and of `LABELS` that there is.

    Raises:
        DamagedShardError: A record is damaged or cut short.
        OSError: The file cannot be read.
    """
    size = os.stat(path).st_size
    offset, number = 0, 0
    records = iter(without_autotuning(tf.data.TFRecordDataset(os.fsencode(path))))
    while True:
        try:
            record = next(records).numpy()
        except (StopIteration, tf.errors.DataLossError) as error:
            if offset == size:
                return
            # TensorFlow takes a part of a record's begin for the end of the file.
            raise DamagedShardError(
                f"{path!r} is damaged, cut short or no TFRecord file: the record at byte {offset:,} does not agree with its "
                "checksums."
            ) from error
        yield _sample(f"record {number}", record, offset + BEFORE, options)
        offset += len(record) + AROUND
        number += 1


def _sample(name: str, record: bytes, start: int, options: Mapping[str, str]) -> ShardSample:
    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        return ShardSample(name, start, fault="no tf.train.Example")
    image = _chosen(features, options.get(IMAGE), IMAGES)
    if image is None:
        return ShardSample(name, start, fault=_missing(features, options, IMAGE, IMAGES))
    contents = _only(features[image])
    if not isinstance(contents, bytes):
        return ShardSample(name, start, fault=f"its {image!r} is not one string of bytes")
    offset = start + record.index(contents)  # wherever the same bytes stand
    label = _chosen(features, options.get(LABEL), LABELS)
    if label is None:
        fault = _missing(features, options, LABEL, LABELS)
        return ShardSample(name, offset, contents, fault=fault)
    text, fault = _text(_only(features[label]), label)
    of_text = _only(features[NUMBER]) if label == TEXT and NUMBER in features else None
    return ShardSample(
        name,
        offset,
        contents,
        text,
        repr(label),
        of_text if isinstance(of_text, int) else NO_NUMBER,
        fault,
    )


def _chosen(features: Any, given: str | None, usual: tuple[str, ...]) -> str | None:
    return next((name for name in ((given,) if given else usual) if name in features), None)


def _missing(features: Any, options: Mapping[str, str], option: str, usual: tuple[str, ...]) -> str:
    expected = options.get(option) or " or ".join(usual)
    return f"no feature {expected}; it has {', '.join(sorted(features)) or 'none'} ({option}=NAME chooses)"


def _only(feature: Any) -> bytes | int | float | None:
    """Returns a feature's value if it has one, not several or none."""
    kind = feature.WhichOneof("kind")
    values: Sequence[Any] = getattr(feature, kind).value if kind else ()
    return values[0] if len(values) == 1 else None


def _text(value: bytes | int | float | None, name: str) -> tuple[str, str]:
    """Returns a label as text, and what is wrong with it."""
    if isinstance(value, int):
        return str(value), ""
    if isinstance(value, bytes) and value and b"\0" not in value:
        try:
            return value.decode(), ""
        except UnicodeDecodeError:
            return "", f"its {name!r} is not UTF-8 text"
    return "", f"its {name!r} should be one text or whole number. Received: {value!r}"
