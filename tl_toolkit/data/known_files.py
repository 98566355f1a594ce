"""What is known of files that were read before, in columns: a million take 56 MB on disk and in memory."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Iterable

import numpy as np

from tl_toolkit.data.array_file import write_arrays_if_room

VERSION = 1
DIGEST_BYTES = 8
STAMP = 4  # size, times and inode
UNREAD = -1  # in place of a size
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

    def with_room_for(self, keys: np.ndarray, check: str | None) -> KnownFiles:
        """Returns these files and a row for every other key, which nothing is known of yet.

        Args:
            keys: Of files that are to be read.
            check: That they are to pass; None: none.
        """
        checks, passed = self.checks, self.passed
        if check is not None and check not in checks:
            # Without room for one more name, what the others say is forgotten.
            checks = (*checks, check) if len(checks) < MOST_CHECKS else (check,)
            passed = passed if len(checks) > 1 else np.zeros_like(passed)
        every = np.unique(np.concatenate([self.keys, keys]))
        made = KnownFiles(
            every,
            np.full((len(every), STAMP), UNREAD, np.int64),
            np.zeros((len(every), DIGEST_BYTES), np.uint8),
            np.zeros(len(every), np.uint64),
            checks,
        )
        rows = made.rows_of(self.keys)
        made.stamps[rows], made.digests[rows], made.passed[rows] = self.stamps, self.digests, passed
        return made

    def take_in(
        self, rows: np.ndarray, stamps: np.ndarray, digests: np.ndarray, check: str | None
    ) -> None:
        """Writes into rows what was read, and the check that these files have passed; None: none.

        Checks that a file of the same stamp and contents has passed before still count.
        """
        bit = np.uint64(0 if check is None else 1 << self.checks.index(check))
        is_same = (self.stamps[rows] == stamps).all(1) & (self.digests[rows] == digests).all(1)
        self.passed[rows] = np.where(is_same, self.passed[rows], np.uint64(0)) | bit
        self.stamps[rows], self.digests[rows] = stamps, digests

    def without_unread(self) -> KnownFiles:
        """Returns these without rows that nothing was written into."""
        is_read = self.stamps[:, 0] != UNREAD
        if is_read.all():
            return self
        return KnownFiles(
            self.keys[is_read],
            self.stamps[is_read],
            self.digests[is_read],
            self.passed[is_read],
            self.checks,
        )


def keys_of(paths: Iterable[str]) -> np.ndarray:
    """Returns uint64[n], the keys of paths."""
    digests = (hashlib.blake2b(os.fsencode(path), digest_size=8).digest() for path in paths)
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), np.uint64)


def read_known_files(place: pathlib.Path | None) -> KnownFiles:
    """Returns what is kept; nothing where there is no file, or it is not sound."""
    try:
        if place is None:
            raise FileNotFoundError
        with place.open("rb") as file, np.load(file, allow_pickle=False) as stored:
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
