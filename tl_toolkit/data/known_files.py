"""What is known of files that were read before, in columns: a million take 56 MB on disk and in memory."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np

from tl_toolkit.data.array_file import write_arrays_if_room

VERSION = 1
DIGEST_BYTES = 8
STAMP = 4  # size, times and inode
MOST_CHECKS = 64
# What reading a damaged file raises.
UNSOUND = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class KnownFiles:
    """Files by their paths, of which digests of 8 bytes stand for them. Where two share one, the later one is known.

    Neither is taken for the other: their stamps differ.

    Attributes:
        keys: uint64[n], ascending, of the paths.
        stamps: int64[n, 4], of the files when they were read.
        digests: uint8[n, 8], of the contents.
        passed: uint64[n], bit k: whether the file has passed the k-th check.
        checks: Their names.
    """

    keys: np.ndarray
    stamps: np.ndarray
    digests: np.ndarray
    passed: np.ndarray
    checks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def rows_of(self, keys: np.ndarray) -> np.ndarray:
        """Returns int64, the row of each key; -1 where it is not known."""
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        rows = np.searchsorted(self.keys, keys)
        rows[rows == len(self)] = 0
        return np.where(self.keys[rows] == keys, rows, -1)

    def has_passed(self, check: str) -> np.ndarray:
        """Returns bool[n], whether each file has passed a check."""
        if check not in self.checks:
            return np.zeros(len(self), bool)
        bit = np.uint64(self.checks.index(check))
        return (self.passed >> bit & np.uint64(1)).astype(bool)

    def updated(
        self, keys: np.ndarray, stamps: np.ndarray, digests: np.ndarray, check: str | None
    ) -> KnownFiles:
        """Returns these with files that were read now, and the check that they have passed; None: none.

        Checks that a file of the same stamp and contents has passed before still count.
        """
        checks = self.checks
        if check is not None and check not in checks:
            # Without room for one more name, what the others say is forgotten.
            checks = (*checks, check) if len(checks) < MOST_CHECKS else (check,)
        old_passed = (
            self.passed if checks[: len(self.checks)] == self.checks else np.zeros_like(self.passed)
        )
        bit = 0 if check is None else 1 << checks.index(check)
        passed = np.full(len(keys), bit, np.uint64)
        rows = self.rows_of(keys)
        was = np.flatnonzero(rows >= 0)
        at = rows[was]
        same = (self.stamps[at] == stamps[was]).all(1) & (self.digests[at] == digests[was]).all(1)
        passed[was[same]] |= old_passed[at[same]]

        kept = np.ones(len(self), bool)
        kept[at] = False
        keys, last = _last_of_each(np.concatenate([self.keys[kept], keys]))
        return KnownFiles(
            keys,
            np.concatenate([self.stamps[kept], stamps])[last],
            np.concatenate([self.digests[kept], digests])[last],
            np.concatenate([old_passed[kept], passed])[last],
            checks,
        )


def keys_of(paths: Sequence[str]) -> np.ndarray:
    """Returns uint64[n], the keys of paths."""
    keys = np.empty(len(paths), np.uint64)
    for position, path in enumerate(paths):
        digest = hashlib.blake2b(os.fsencode(path), digest_size=8).digest()
        keys[position] = int.from_bytes(digest, "little")
    return keys


def read_known_files(place: pathlib.Path | None) -> KnownFiles:
    """Returns what is kept; nothing where there is no file, or it is not sound."""
    try:
        if place is None:
            raise FileNotFoundError
        with np.load(place, allow_pickle=False) as stored:
            if int(stored["version"]) != VERSION:
                raise ValueError
            known = KnownFiles(
                stored["keys"],
                stored["stamps"],
                stored["digests"],
                stored["passed"],
                tuple(stored["checks"].tolist()),
            )
        n = len(known)
        shapes = [known.stamps.shape, known.digests.shape, known.passed.shape]
        if shapes != [(n, STAMP), (n, DIGEST_BYTES), (n,)]:
            raise ValueError
    except UNSOUND:
        return KnownFiles(
            np.empty(0, np.uint64),
            np.empty((0, STAMP), np.int64),
            np.empty((0, DIGEST_BYTES), np.uint8),
            np.empty(0, np.uint64),
        )
    return known


def write_known_files(place: pathlib.Path, known: KnownFiles) -> None:
    """Writes it whole. Without room for it nothing is written, and the files are read again next time."""
    write_arrays_if_room(
        place,
        version=VERSION,
        keys=known.keys,
        stamps=known.stamps,
        digests=known.digests,
        passed=known.passed,
        checks=np.array(known.checks, str),
    )


def _last_of_each(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the keys, each once, ascending, and where each stands last."""
    kept, from_end = np.unique(keys[::-1], return_index=True)
    return kept, len(keys) - 1 - from_end
