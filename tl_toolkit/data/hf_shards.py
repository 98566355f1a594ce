"""Samples of Arrow and Parquet files with encoded images, as Hugging Face's `datasets` writes them.

An image column is `{bytes, path}`; what its columns are (`Image`, `ClassLabel` with the classes' names) stands as JSON in the schema's
metadata under "huggingface". See https://huggingface.co/docs/datasets/about_dataset_features.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from tl_toolkit.data.shard_samples import DamagedShardError, ShardSample
from tl_toolkit.data.shard_uri import IMAGE, LABEL
from tl_toolkit.data.table_columns import choose_column
from tl_toolkit.errors import InputError

PARQUET = ".parquet"
ARROW_FILE = b"ARROW1"  # how a file begins that is no stream
USUAL_IMAGES = ("image", "img", "photo")
END = b"\xff" * 4 + b"\0" * 4  # of a stream
ROWS = 64  # of a Parquet file that are read at once


def is_parquet_shard(path: str | os.PathLike[str]) -> bool:
    """Whether a shard is of Parquet by its name, and no Arrow file."""
    return os.fspath(path).lower().endswith(PARQUET)


def hf_samples(path: str, options: Mapping[str, str]) -> Iterator[ShardSample]:
    """Reads a shard from its begin to its end.

    Args:
        path: Of an Arrow or a Parquet file.
        options: `image` and `label`: names of columns; by default those that the metadata call so, else those of usual names.

    Yields:
        The samples in their order. The offset is where the image begins in an Arrow file; in a Parquet file, whose contents are
        packed, how many bytes of images stand before it.

    Raises:
        InputError: pyarrow is not installed, or there is no column of images or of labels.
        DamagedShardError: The file is damaged or cut short.
        OSError: It cannot be read.
    """
    pyarrow = _pyarrow()
    try:
        read = _of_parquet if is_parquet_shard(path) else _of_arrow
        for number, sample in enumerate(read(path, options)):
            yield dataclasses.replace(sample, name=f"row {number}")
    except (pyarrow.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:  # of the system, and not pyarrow's own
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DamagedShardError(f"{path!r} is damaged or cut short: {reason}.") from error


def contents_of_parquet(path: str, options: Mapping[str, str]) -> np.ndarray:
    """Returns uint8[bytes], the images of a Parquet file one behind the other, as the offsets of `hf_samples` count.

    Raises:
        InputError: As `hf_samples`.
    """
    _pyarrow()
    parts = [sample.contents for sample in _of_parquet(path, options)]
    return np.frombuffer(b"".join(parts), np.uint8)


def _pyarrow() -> ModuleType:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise InputError(
            "Arrow and Parquet files need the package pyarrow. Install it: pip install 'tl-toolkit[tables]'"
        ) from error
    return pyarrow


def _of_parquet(path: str, options: Mapping[str, str]) -> Iterator[ShardSample]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        columns = _Columns(file.schema_arrow, options, path)
        offset = 0
        for batch in file.iter_batches(ROWS, columns=[columns.image, columns.label]):
            images = columns.images(batch)
            for contents, label in zip(images, columns.labels(batch), strict=True):
                encoded = contents.as_py() or b""
                yield columns.sample(offset, encoded, label)
                offset += len(encoded)


def _of_arrow(path: str, options: Mapping[str, str]) -> Iterator[ShardSample]:
    import pyarrow

    with pyarrow.memory_map(path) as mapped:
        whole = mapped.read_buffer()
        is_file = whole[: len(ARROW_FILE)].to_pybytes() == ARROW_FILE
        reader = (pyarrow.ipc.open_file if is_file else pyarrow.ipc.open_stream)(whole)
        columns = _Columns(reader.schema, options, path)
        batches = (
            (reader.get_batch(k) for k in range(reader.num_record_batches)) if is_file else reader
        )
        for batch in batches:
            batch.select([columns.image, columns.label]).validate(full=True)
            images = columns.images(batch)
            starts, lengths = _places(images, whole, path)
            for number, label in enumerate(columns.labels(batch)):
                offset, length = int(starts[number]), int(lengths[number])
                encoded = whole[offset : offset + length].to_pybytes() if length else b""
                yield columns.sample(offset, encoded, label)
        if not is_file and whole[-len(END) :].to_pybytes() != END:
            raise DamagedShardError(f"{path!r} is cut short: the mark at its end is missing.")


def _places(images: Any, whole: Any, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns int64[n] each, where the images of a batch begin in the mapped file, and their bytes; 0 for one that is missing."""
    import pyarrow

    kind = np.int64 if pyarrow.types.is_large_binary(images.type) else np.int32
    _, ends, data = images.buffers()
    count = len(images)
    if not count or data is None:
        return np.zeros(count, np.int64), np.zeros(count, np.int64)
    start = data.address - whole.address
    if not 0 <= start <= whole.size:  # it was unpacked to elsewhere
        raise InputError(
            f"{path!r} is compressed, so that no image in it can be read by itself: `save_to_disk` of `datasets` writes it as it "
            "is needed."
        )
    within = np.frombuffer(ends, kind)[images.offset : images.offset + count + 1].astype(np.int64)
    is_there = ~np.asarray(images.is_null())
    return start + within[:-1], np.diff(within) * is_there


class _Columns:
    """Which column of a file holds the images, and which the labels."""

    def __init__(self, schema: Any, options: Mapping[str, str], path: str) -> None:
        features = _features(schema)
        names = list(schema.names)
        self.image = _chosen(names, features, IMAGE, options.get(IMAGE), "Image", USUAL_IMAGES)
        self.label = _chosen(names, features, LABEL, options.get(LABEL), "ClassLabel", ())
        if self.image is None or self.label is None:
            missing = IMAGE if self.image is None else LABEL
            raise InputError(
                f"{path!r} has no column that is known to hold the {missing}: name it in the URI, with {missing}=COLUMN. It "
                f"has {', '.join(names) or 'none'}."
            )
        self._is_of_bytes = _holds_bytes(schema.field(self.image).type)
        if self._is_of_bytes is None:
            raise InputError(
                f"The column {self.image!r} of {path!r} holds no encoded images, but {schema.field(self.image).type}: name the "
                "one that does, with image=COLUMN."
            )
        self._names = features.get(self.label, {}).get("names")

    def images(self, batch: Any) -> Any:
        """Returns a batch's images, an array of bytes."""
        column = batch.column(self.image)
        return column if self._is_of_bytes else column.field("bytes")

    def labels(self, batch: Any) -> list[Any]:
        """Returns a batch's labels as they are stored."""
        return batch.column(self.label).to_pylist()

    def sample(self, offset: int, contents: bytes, label: Any) -> ShardSample:
        """Returns a sample, with its fault if it has one."""
        text, fault = self._text(label)
        if not contents:
            fault = "its image is not in the file: `datasets` kept only a path, or nothing"
        return ShardSample("", offset, contents, text, repr(self.label), fault=fault)

    def _text(self, label: Any) -> tuple[str, str]:
        if self._names is not None and isinstance(label, int):
            if not 0 <= label < len(self._names):
                return (
                    "",
                    f"its label is {label}, which stands for none of {len(self._names)} classes",
                )
            return str(self._names[label]), ""
        if isinstance(label, (str, int)) and not isinstance(label, bool) and label != "":
            return str(label), ""
        return "", f"its {self.label!r} should be one text or whole number. Received: {label!r}"


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """Returns what the metadata say of each column; nothing where there are none."""
    stored = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(stored)["info"]["features"] if stored else {}
    except (ValueError, KeyError, TypeError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: facts for name, facts in features.items() if isinstance(facts, dict)}


def _chosen(
    names: list[str],
    features: dict[str, dict[str, Any]],
    role: str,
    given: str | None,
    kind: str,
    usual: tuple[str, ...],
) -> str | None:
    if given is not None:
        return choose_column(names, role, given)
    known = [name for name in names if features.get(name, {}).get("_type") == kind]
    if len(known) == 1:
        return known[0]
    if role == LABEL:
        return choose_column(known or names, role)
    return next((name for name in usual if name in (known or names)), None)


def _holds_bytes(kind: Any) -> bool | None:
    """Whether a column's values are the bytes themselves; False for `{bytes, path}`, None for neither."""
    import pyarrow

    def is_bytes(one: Any) -> bool:
        return pyarrow.types.is_binary(one) or pyarrow.types.is_large_binary(one)

    if is_bytes(kind):
        return True
    if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return False if is_bytes(kind.field("bytes").type) else None
    return None
