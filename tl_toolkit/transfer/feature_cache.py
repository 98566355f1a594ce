"""What the frozen part of a model makes of images, computed once and kept on disk.

An entry is one split under one view: shards of rows, memory-mapped when they are read. Its name is a digest
of everything that the numbers depend on, so that a change of any of it is another entry, and no change
finds what is there. A shard is written aside and renamed: it is whole or absent, and a run that was killed
goes on with the shards that are missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
import shutil
import threading
from collections.abc import Callable, Sequence
from typing import Any

import filelock
import keras
import ml_dtypes
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Augmentation, Preprocessing
from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.pipeline import view_reader
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.models.fold import inference_engine
from tl_toolkit.private_names import release_pages
from tl_toolkit.progress import SILENT, Progress

VERSION = 3  # of the entries; another one is computed anew
STORAGE = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
SHARD_BYTES = 64 * 2**20
SHARD_ROWS = 256  # at the most: what a kill costs, and what processes share out
BATCH_SIZE = 32
SPARE_BYTES = 2**30  # of the disk that the cache leaves free
DEFAULT_LIMIT = 20 * 10**9  # bytes
MANIFEST = "manifest.json"


class NoRoomError(InputError):
    """The features do not fit into the cache's limit, or onto the disk."""


@dataclasses.dataclass(frozen=True)
class Features:
    """Activations of one split, of every view.

    Attributes:
        entries: A list of shards a view, each float[rows, …], memory-mapped.
        rows_per_shard: Rows of every shard but the last.
    """

    entries: tuple[tuple[np.ndarray, ...], ...]
    rows_per_shard: int

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
        return self.folder or cache_folder() / "features"

    def features(
        self,
        frozen: keras.Model,
        split: Split,
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        *,
        seed: int = 0,
        views: int = 1,
        storage: str = "float32",
        progress: Progress = SILENT,
    ) -> Features:
        """Returns the activations of a split, computed where they are not in the cache.

        Args:
            frozen: Images (float32, 0-255) to activations.
            split: The images.
            preprocessing: Gives the image size and the interpolation.
            augmentation: See `augment_and_resize`; None gives the evaluation view.
            seed: Of the run.
            views: Augmented views of each image, which are those of the first epochs.
            storage: `"float32"`, `"float16"` or `"bfloat16"`.
            progress: Shows how many rows are computed.

        Raises:
            NoRoomError: They do not fit.
        """
        if storage not in STORAGE:
            raise unknown_name("storage", storage, STORAGE)
        shape = tuple(frozen.output.shape[1:])
        if None in shape:
            side = preprocessing.image_size
            shape = tuple(frozen.compute_output_shape((None, side, side, 3))[1:])
        row_bytes = math.prod(shape) * np.dtype(STORAGE[storage]).itemsize
        rows_per_shard = min(max(1, SHARD_BYTES // row_bytes), SHARD_ROWS)
        common = {
            "version": [VERSION, tf.__version__, keras.__version__],
            "frozen part": _model_digest(frozen),
            "preprocessing": dataclasses.asdict(preprocessing),
            "augmentation": augmentation and dataclasses.asdict(augmentation),
            "seed": seed if augmentation else None,
            "storage": storage,
            # Such as the switch by which a processor computes in bfloat16.
            "graph options": [
                name for name, on in tf.config.optimizer.get_experimental_options().items() if on
            ],
            "images": _digest([*content_digests(split), *map(str, split.ids)]),
        }
        folders = []
        for view in range(views):
            key = common | {"view": view if augmentation else None}
            folders.append(self.place / _digest([json.dumps(key, sort_keys=True)]))
        missing = [
            missing_shards(folder, len(split), rows_per_shard) if _touch(folder) else None
            for folder in folders
        ]
        rows = sum(
            len(split) if shards is None else min(len(shards) * rows_per_shard, len(split))
            for shards in missing
        )
        # One process at a time: what another one removes has no size.
        self.place.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.place / "room.lock"):
            self._make_room(rows * row_bytes, keep=set(folders))
        # Made once, whatever the number of views; not at all where nothing is missing.
        engine = functools.cache(lambda: inference_engine(frozen))
        reader = functools.cache(lambda: view_reader(split, preprocessing, augmentation, seed))
        for view, folder in enumerate(folders):
            _make_entry(folder, common | {"view": view, "rows": len(split), "shape": shape})

            def compute(shard: int, folder=folder, view=view) -> None:
                start = shard * rows_per_shard
                positions = np.arange(start, min(start + rows_per_shard, len(split)))
                batches = reader()(positions, view, BATCH_SIZE)
                activations = np.concatenate([engine()(images).numpy() for images in batches])
                _write_shard(folder / _shard_name(shard), activations.astype(STORAGE[storage]))

            _share_out(folder, missing_shards(folder, len(split), rows_per_shard), compute)
        entries = tuple(
            tuple(
                np.load(folder / _shard_name(shard), mmap_mode="r").view(STORAGE[storage])
                for shard in range(-(-len(split) // rows_per_shard))
            )
            for folder in folders
        )
        return Features(entries, rows_per_shard)

    def _make_room(self, needed: float, keep: set[pathlib.Path]) -> None:
        """Removes the least recently used entries until the new ones fit."""
        place = self.place
        entries = sorted(
            (entry for entry in place.iterdir() if entry.is_dir()), key=lambda e: e.stat().st_mtime
        )
        sizes = {entry: _size(entry) for entry in entries}
        free = shutil.disk_usage(place).free - SPARE_BYTES
        removable = [entry for entry in entries if entry not in keep]
        kept = sum(size for entry, size in sizes.items() if entry in keep)
        if kept + needed > self.limit or needed > free + sum(sizes[e] for e in removable):
            raise NoRoomError(
                f"the features need {(kept + needed) / 1e9:.2f} GB, and the cache may take "
                f"{self.limit / 1e9:.2f} GB, with {max(free, 0) / 1e9:.2f} GB free on its disk"
            )
        used = sum(sizes.values())
        while removable and (used + needed > self.limit or needed > free):
            oldest = removable.pop(0)
            if not _is_in_use(oldest):
                shutil.rmtree(oldest, ignore_errors=True)
                used, free = used - sizes[oldest], free + sizes[oldest]
                for lock in place.glob(f"{oldest.name}.*.lock"):
                    lock.unlink(missing_ok=True)


def missing_shards(folder: pathlib.Path, rows: int, rows_per_shard: int) -> list[int]:
    """Returns the numbers of the shards that are not there."""
    shards = range(-(-rows // rows_per_shard))
    return [shard for shard in shards if not (folder / _shard_name(shard)).is_file()]


def _share_out(folder: pathlib.Path, shards: Sequence[int], compute: Callable[[int], None]) -> None:
    """Computes the shards that are missing, beside other processes that want the same: each is done once.

    What another one is at is left to it, and waited for at the end: it may have been killed. A shard's
    numbers do not depend on who computes it, nor on which others are missing.
    """
    user = folder.with_name(f"{folder.name}.{os.getpid()}-{threading.get_ident()}.lock")
    with filelock.FileLock(user):  # between two shards the entry is in use too
        for timeout in (0, -1):
            for shard in shards:
                with contextlib.suppress(filelock.Timeout), _lock(folder, shard, timeout):
                    if (folder / _shard_name(shard)).is_file():
                        continue
                    for left_over in folder.glob(f"{_shard_name(shard)}.*.partial"):
                        left_over.unlink(missing_ok=True)
                    compute(shard)
    user.unlink(missing_ok=True)


def _model_digest(model: keras.Model) -> str:
    """Of everything that a model's numbers follow from: its layers, and its variables' bits."""
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


def _shard_name(shard: int) -> str:
    return f"{shard:05d}.npy"


def _write_shard(path: pathlib.Path, rows: np.ndarray) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with aside.open("wb") as file:
            # numpy's format knows no bfloat16: its bits are stored.
            np.save(file, rows if rows.dtype.kind == "f" else rows.view(np.uint16))
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _lock(folder: pathlib.Path, shard: int, timeout: float) -> filelock.FileLock:
    return filelock.FileLock(folder.with_name(f"{folder.name}.{shard:05d}.lock"), timeout)


def _is_in_use(folder: pathlib.Path) -> bool:
    """Whether a process is computing one of its shards."""
    for path in folder.parent.glob(f"{folder.name}.*.lock"):
        try:
            with filelock.FileLock(path, timeout=0):
                pass
        except filelock.Timeout:
            return True
    return False


def _make_entry(folder: pathlib.Path, facts: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MANIFEST).is_file():
        (folder / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n")


def _touch(folder: pathlib.Path) -> bool:
    """Marks an entry as used now; False where there is none."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(folder)
        return True
    return False


def _size(folder: pathlib.Path) -> int:
    sizes = []
    for path in folder.glob("*.npy"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sum(sizes)
