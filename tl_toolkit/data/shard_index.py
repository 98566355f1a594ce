"""Where each image of a shard lies, and its label: found by reading the shard once, to its end, and kept in the user's cache."""

from __future__ import annotations

import array
import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tl_toolkit.data.content_digests import DIGEST_SIZE, THREADS, bytes_digest
from tl_toolkit.data.decode import check_image
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.data.shard_samples import DamagedShardError, ShardSample, refuse_compressed
from tl_toolkit.errors import InputError
from tl_toolkit.files.atomic import written_aside
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.progress import SILENT, Progress, Stage

VERSION = 1  # of what is kept
AHEAD = 4 * THREADS  # images that are read before they are checked
MB = 1_000_000

Samples = Callable[[str], Iterator[ShardSample]]


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """The images of one shard that can be read, in their order, and what is wrong with the others.

    Attributes:
        offset: int64[n], where each image begins, in bytes.
        length: int64[n], bytes.
        digest: uint8[n, 8], of its contents.
        label: int32[n], number of its label in `names`.
        names: str[k], labels, in the order in which they come.
        class_numbers: int64[k], the number that stands beside each, or `NO_NUMBER`.
        found_in: str[j], what labels were taken from.
        bad_offset: int64[m], where the samples that cannot be used begin.
        bad_name: str[m], what they are called in the shard.
        reason: str[m], why they cannot be used.
        damage: str[], why the shard was not read to its end; "" where it was.
    """

    offset: np.ndarray
    length: np.ndarray
    digest: np.ndarray
    label: np.ndarray
    names: np.ndarray
    class_numbers: np.ndarray
    found_in: np.ndarray
    bad_offset: np.ndarray
    bad_name: np.ndarray
    reason: np.ndarray
    damage: np.ndarray

    def __len__(self) -> int:
        return len(self.offset)


def index_shards(
    paths: Sequence[str],
    samples_of: Samples,
    kind: str,
    options: Mapping[str, str],
    progress: Progress = SILENT,
) -> list[ShardIndex]:
    """Returns the index of each shard; one of unchanged size and times is not read again.

    Args:
        paths: Of the shards, absolute.
        samples_of: Reads one.
        kind: Of the shards, and
        options: what of them `samples_of` depends on; under other ones a shard is read again.
        progress: Shows the megabytes that are read.

    Raises:
        InputError: A shard cannot be read, or is compressed.
    """
    places = [_place(path, kind, options) for path in paths]
    stamps, found = [], []
    for path, place in zip(paths, places, strict=True):
        try:
            stamps.append(_stamp(path))
            refuse_compressed(path)
        except OSError as error:
            raise InputError(f"Cannot read the shard {path!r}: {error.strerror}.") from error
        found.append(_read(place, stamps[-1]))
    missing = [number for number, index in enumerate(found) if index is None]
    total = sum(int(stamps[number][0]) for number in missing) // MB
    with (
        progress.stage("Checking photos in shards (MB)", total=total) as stage,
        concurrent.futures.ThreadPoolExecutor(THREADS) as pool,
    ):
        counter = _Megabytes(stage)
        for number in missing:
            index = _made(paths[number], samples_of, pool, counter)
            _write(places[number], stamps[number], index)
            found[number] = index
    return [index for index in found if index is not None]


class _Megabytes:
    """Counts bytes, and shows whole megabytes."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._bytes = stage, 0

    def add(self, count: int) -> None:
        before, self._bytes = self._bytes, self._bytes + count
        self._stage.advance(self._bytes // MB - before // MB)


def _made(
    path: str,
    samples_of: Samples,
    pool: concurrent.futures.ThreadPoolExecutor,
    counter: _Megabytes,
) -> ShardIndex:
    rows = _Rows()
    waiting: collections.deque[tuple[ShardSample, concurrent.futures.Future]] = collections.deque()
    damage, at = "", 0
    samples = samples_of(path)
    try:
        for sample in samples:
            waiting.append((sample, pool.submit(_digest_and_fault, sample)))
            if len(waiting) > AHEAD:
                rows.add(*waiting.popleft())
            counter.add(max(0, sample.offset - at))
            at = max(at, sample.offset)
    except DamagedShardError as error:
        damage = str(error)
    except OSError as error:
        raise InputError(f"Cannot read the shard {path!r}: {error.strerror}.") from error
    while waiting:
        rows.add(*waiting.popleft())
    counter.add(os.path.getsize(path) - at)
    return rows.index(damage)


def _digest_and_fault(sample: ShardSample) -> tuple[str, str]:
    if sample.fault:
        return "", sample.fault
    try:
        check_image(decodable(sample.contents))
    except InputError as error:
        return "", str(error)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return "", "damaged or cut short"
    return bytes_digest(sample.contents), ""


class _Rows:
    """Columns that grow."""

    def __init__(self) -> None:
        self._offset, self._length = array.array("q"), array.array("q")
        self._digest, self._label = bytearray(), array.array("i")
        self._number_of: dict[tuple[str, int], int] = {}
        self._found_in: dict[str, None] = {}
        self._bad: list[tuple[int, str, str]] = []

    def add(self, sample: ShardSample, checked: concurrent.futures.Future) -> None:
        digest, fault = checked.result()
        if fault:
            self._bad.append((sample.offset, printable(sample.name), fault))
            return
        self._offset.append(sample.offset)
        self._length.append(len(sample.contents))
        self._digest += bytes.fromhex(digest)
        # A text that stands for two numbers is two labels, until somebody looks at all shards.
        name = (sample.label, sample.number)
        self._label.append(self._number_of.setdefault(name, len(self._number_of)))
        self._found_in[sample.found_in] = None

    def index(self, damage: str) -> ShardIndex:
        return ShardIndex(
            offset=np.array(self._offset, np.int64),
            length=np.array(self._length, np.int64),
            digest=np.frombuffer(bytes(self._digest), np.uint8).reshape(-1, DIGEST_SIZE),
            label=np.array(self._label, np.int32),
            names=np.array([name for name, _ in self._number_of], str),
            class_numbers=np.array([number for _, number in self._number_of], np.int64),
            found_in=np.array(list(self._found_in), str),
            bad_offset=np.array([offset for offset, _, _ in self._bad], np.int64),
            bad_name=np.array([name for _, name, _ in self._bad], str),
            reason=np.array([reason for _, _, reason in self._bad], str),
            damage=np.array(damage, str),
        )


def _stamp(path: str) -> np.ndarray:
    status = os.stat(path)
    values = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    return np.array(values, np.uint64)


def _place(path: str, kind: str, options: Mapping[str, str]) -> pathlib.Path | None:
    """Returns the file that a shard's index is kept in; None where there is no place for a cache."""
    asked = "\0".join([kind, *(f"{name}={options[name]}" for name in sorted(options))])
    name = hashlib.blake2b(os.fsencode(path) + b"\0" + asked.encode(), digest_size=DIGEST_SIZE)
    try:
        return cache_folder() / "shards" / f"{name.hexdigest()}.npz"
    except InputError:
        return None


def _read(place: pathlib.Path | None, stamp: np.ndarray) -> ShardIndex | None:
    """Returns what is kept of a shard; None where nothing is, or it changed since."""
    try:
        if place is None:
            raise FileNotFoundError
        with place.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if int(stored["version"]) != VERSION or not np.array_equal(stored["stamp"], stamp):
                return None
            columns = {f.name: stored[f.name] for f in dataclasses.fields(ShardIndex)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return ShardIndex(**columns)


def _write(place: pathlib.Path | None, stamp: np.ndarray, index: ShardIndex) -> None:
    # Without room for it, the shard is read again next time.
    if place is None:
        return
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(place) as aside, aside.open("wb") as file:
            np.savez(file, version=VERSION, stamp=stamp, **vars(index))
