"""What the frozen layers make of images, computed once and kept on disk.

An entry is one split under one view: shards of rows, memory-mapped when they are read. Its name is a digest of
everything that its values depend on: a change of any of it makes another entry. A shard is whole or absent, and
a run that was killed resumes with the missing ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import filelock
import keras
import ml_dtypes
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Augmentation, Preprocessing
from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.examples import view_reader
from tl_toolkit.data.pipeline import steps_per_epoch
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.files.atomic import write_json, written_aside
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.models.fold import inference_engine
from tl_toolkit.private_names import release_pages
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.transfer.feature_room import SHARD_LOCK, Lease, NoRoomError, lease_room

VERSION = 3  # of the entries; another one is computed anew
STORAGE = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
SHARD_BYTES = 64 * 2**20
SHARD_ROWS = 256  # at most: what a kill costs, and the unit that processes share out
HEADER_BYTES = 128  # of a shard's file
BATCH_SIZE = 32
DEFAULT_LIMIT = 20 * 10**9  # bytes
MANIFEST = "manifest.json"


@dataclasses.dataclass(frozen=True)
class SplitViews:
    """A split and the views of it whose activations are wanted.

    Attributes:
        split: The images.
        augmentation: See `augment_and_resize`; None gives the evaluation view.
        seed: Of the run.
        views: Augmented views of each image, which are those of the first epochs.
    """

    split: Split
    augmentation: Augmentation | None = None
    seed: int = 0
    views: int = 1


@dataclasses.dataclass(frozen=True)
class Features:
    """Activations of one split, of every view.

    Attributes:
        entries: A list of shards a view, each float[rows, …], memory-mapped.
        rows_per_shard: Rows of every shard but the last.
        lease: Keeps the entries on disk; shared by all that was computed together. None: they are not in a
            cache.
    """

    entries: tuple[tuple[np.ndarray, ...], ...]
    rows_per_shard: int
    lease: Lease | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image's activations."""
        return self.entries[0][0].shape[1:]

    def rows(self, positions: np.ndarray, view: int = 0) -> np.ndarray:
        """Returns float32[len(positions), …], the activations of those images under that view."""
        shards = self.entries[view]
        found = np.empty((len(positions), *self.shape), np.float32)
        of_shard, rows = np.divmod(positions, self.rows_per_shard)
        for shard in np.unique(of_shard):
            chosen = of_shard == shard
            found[chosen] = shards[shard][rows[chosen]]
            release_pages(shards[shard])
        return found


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """The folder that entries lie in.

    Attributes:
        folder: By default `features` in the user's cache folder.
        limit: Bytes that all entries may take; the least recently used ones make way for new ones.

    Raises:
        InputError: The limit is not at least 0.
    """

    folder: pathlib.Path | None = None
    limit: float = DEFAULT_LIMIT

    def __post_init__(self) -> None:
        if not 0 <= self.limit < math.inf:
            raise InputError(
                f"The cache's limit must be at least 0 bytes, and finite. Received: {self.limit}"
            )

    @property
    def place(self) -> pathlib.Path:
        """The folder."""
        return self.folder or cache_folder() / "features"

    def features(
        self,
        frozen: keras.Model,
        wanted: Sequence[SplitViews],
        preprocessing: Preprocessing,
        *,
        storage: str = "float32",
        progress: Progress = SILENT,
    ) -> list[Features]:
        """Returns activations, computed where they are not in the cache.

        One lease holds all of them, and room for all is reserved before the first image is read.

        Args:
            frozen: Images (float32, 0-255) to activations.
            wanted: All that a run reads.
            preprocessing: Gives the image size and the interpolation.
            storage: `"float32"`, `"float16"` or `"bfloat16"`.
            progress: Shows how many of the missing rows are computed.

        Raises:
            NoRoomError: They do not fit together.
        """
        if storage not in STORAGE:
            raise unknown_name("storage", storage, STORAGE)
        shape = _activation_shape(frozen, preprocessing)
        row_bytes = math.prod(shape) * np.dtype(STORAGE[storage]).itemsize
        rows_per_shard = min(max(1, SHARD_BYTES // row_bytes), SHARD_ROWS)
        common = {
            "version": [VERSION, tf.__version__, keras.__version__],
            "frozen part": _model_digest(frozen),
            "preprocessing": dataclasses.asdict(preprocessing),
            "storage": storage,
            # Such as the switch by which a processor computes in bfloat16.
            "graph options": [
                name for name, on in tf.config.optimizer.get_experimental_options().items() if on
            ],
        }
        entries = [
            [
                _Entry(self.place / name, facts | {"shape": shape}, rows_per_shard)
                for name, facts in _names_and_facts(one, common)
            ]
            for one in wanted
        ]
        everything = [entry for of_split in entries for entry in of_split]
        sizes = {entry.folder.name: entry.whole_bytes(row_bytes) for entry in everything}
        lease = lease_room(self.place, sizes, self.limit)
        try:
            engine = functools.cache(
                lambda: inference_engine(frozen)
            )  # not at all if nothing is missing
            shards = [
                shard
                for one, of_split in zip(wanted, entries, strict=True)
                for shard in _missing_shards(one, of_split, preprocessing, engine, STORAGE[storage])
            ]
            if shards:
                rows = sum(shard.rows for shard in shards)
                with progress.stage("Computing features of the frozen layers", rows) as stage:
                    _share_out(shards, stage.advance)
            return [
                Features(
                    tuple(entry.open(STORAGE[storage]) for entry in of_split), rows_per_shard, lease
                )
                for of_split in entries
            ]
        except BaseException:
            lease.release()
            raise


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One split under one view, on disk."""

    folder: pathlib.Path
    facts: dict[str, Any]
    rows_per_shard: int

    @property
    def rows(self) -> int:
        return int(self.facts["rows"])

    @property
    def paths(self) -> list[pathlib.Path]:
        shards = range(steps_per_epoch(self.rows, self.rows_per_shard))
        return [self.folder / f"{shard:05d}.npy" for shard in shards]

    def whole_bytes(self, row_bytes: int) -> int:
        return self.rows * row_bytes + len(self.paths) * HEADER_BYTES

    def positions(self, shard: int) -> np.ndarray:
        start = shard * self.rows_per_shard
        return np.arange(start, min(start + self.rows_per_shard, self.rows))

    def open(self, dtype: type) -> tuple[np.ndarray, ...]:
        return tuple(np.load(path, mmap_mode="r").view(dtype) for path in self.paths)


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A shard that is missing.

    Attributes:
        path: Its place.
        rows: How many it has.
        compute: Returns them batch by batch.
    """

    path: pathlib.Path
    rows: int
    compute: Callable[[], Iterator[np.ndarray]]

    def lock(self, timeout: float) -> filelock.BaseFileLock:
        entry = self.path.parent
        return filelock.FileLock(
            entry.with_name(f"{entry.name}.{self.path.stem}{SHARD_LOCK}"), timeout
        )


def _activation_shape(frozen: keras.Model, preprocessing: Preprocessing) -> tuple[int, ...]:
    shape = tuple(frozen.output.shape[1:])
    if None in shape:
        side = preprocessing.image_size
        shape = tuple(frozen.compute_output_shape((None, side, side, 3))[1:])
    return shape


def _names_and_facts(
    wanted: SplitViews, common: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name of each view's entry, and what its manifest says."""
    split, augmentation = wanted.split, wanted.augmentation
    key = common | {
        "augmentation": augmentation and dataclasses.asdict(augmentation),
        "seed": wanted.seed if augmentation else None,
        "copies": getattr(split.images, "side", None) if augmentation else None,
        "images": _digest([*content_digests(split), *map(str, split.ids)]),
    }
    for view in range(wanted.views):
        of_view = key | {"view": view if augmentation else None}
        yield (
            _digest([json.dumps(of_view, sort_keys=True)]),
            key | {"view": view, "rows": len(split)},
        )


def _missing_shards(
    wanted: SplitViews,
    entries: Sequence[_Entry],
    preprocessing: Preprocessing,
    engine: Callable[[], Callable[[tf.Tensor], tf.Tensor]],
    dtype: type,
) -> Iterator[_Shard]:
    # Made once, whatever the number of views.
    reader = functools.cache(
        lambda: view_reader(wanted.split, preprocessing, wanted.augmentation, wanted.seed)
    )

    def batches(positions: np.ndarray, view: int) -> Iterator[np.ndarray]:
        for images in reader()(positions, view, BATCH_SIZE):
            yield engine()(images).numpy().astype(dtype)

    for view, entry in enumerate(entries):
        if not (entry.folder / MANIFEST).is_file():
            write_json(entry.folder / MANIFEST, entry.facts)
        for number, path in enumerate(entry.paths):
            if not path.is_file():
                positions = entry.positions(number)
                yield _Shard(path, len(positions), functools.partial(batches, positions, view))


def _share_out(shards: Sequence[_Shard], advance: Callable[[int], None]) -> None:
    """Computes the missing shards, alongside other processes that need the same ones: each is computed once.

    A shard that another process is computing is left to it, and waited for at the end: that process may be
    killed. A shard's values do not depend on who computes it, nor on which others are missing.
    """
    waiting = list(shards)
    for timeout in (0, -1):
        for shard in tuple(waiting):
            with contextlib.suppress(filelock.Timeout), shard.lock(timeout):
                if shard.path.is_file():
                    advance(shard.rows)
                else:
                    _compute(shard, advance)
                waiting.remove(shard)


def _compute(shard: _Shard, advance: Callable[[int], None]) -> None:
    for left_over in shard.path.parent.glob(f"{shard.path.name}.*.partial"):
        left_over.unlink(missing_ok=True)
    batches = []
    for activations in shard.compute():
        batches.append(activations)
        advance(len(activations))
    _write_shard(shard.path, np.concatenate(batches))


def _write_shard(path: pathlib.Path, rows: np.ndarray) -> None:
    try:
        with written_aside(path) as aside, aside.open("wb") as file:
            # numpy's format knows no bfloat16: its bits are stored.
            np.save(file, rows if rows.dtype.kind == "f" else rows.view(np.uint16))
    except OSError as error:  # such as a disk that somebody else has filled
        raise NoRoomError(f"{str(path)!r} cannot be written: {error}") from error


def _model_digest(model: keras.Model) -> str:
    """Returns the digest of all that decides a model's output: its layers, and its variables' bits."""
    layers = [
        [type(layer).__name__, {k: v for k, v in layer.get_config().items() if k != "trainable"}]
        for layer in model.layers
    ]
    digest = hashlib.blake2b(
        json.dumps(layers, sort_keys=True, default=str).encode(), digest_size=16
    )
    for variable in model.variables:
        digest.update(variable.path.encode())
        digest.update(variable.numpy().tobytes())
    return digest.hexdigest()


def _digest(parts: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
