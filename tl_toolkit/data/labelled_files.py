"""Files with labels, and the copies and near-duplicates among them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from tl_toolkit.catalog import TEST, TRAIN, VALIDATION
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.kept_together import group_keys
from tl_toolkit.data.opening import Opening
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.data.thumbnail_store import near_duplicate_files


@dataclasses.dataclass(frozen=True)
class LabelledFiles:
    """Files that should be images, in columns: there may be a million.

    Attributes:
        paths: Of the files.
        labels: int[n].
        digests: uint64[n], of the contents; 0 before they are read, and where that failed.
        faults: Why a file cannot be used, by its position.
    """

    paths: PathColumn
    labels: np.ndarray
    digests: np.ndarray
    faults: dict[int, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def unread(cls, paths: PathColumn, labels: np.ndarray) -> Self:
        """Returns files of which nothing but their names is known."""
        return cls(paths, labels, np.zeros(len(paths), np.uint64))

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, positions: np.ndarray) -> LabelledFiles:
        """Returns the files at those positions, which may be used."""
        return LabelledFiles(self.paths[positions], self.labels[positions], self.digests[positions])

    def joined(self, other: LabelledFiles) -> LabelledFiles:
        """Returns these files and then the others, of which nothing but their names is known."""
        labels = np.concatenate([self.labels, other.labels])
        return LabelledFiles.unread(self.paths.joined(other.paths), labels)

    def part(self, start: int, end: int) -> LabelledFiles:
        """Returns the files from one position to before another."""
        if (start, end) == (0, len(self)):
            return self
        some = slice(start, end)
        faults = {k - start: fault for k, fault in self.faults.items() if start <= k < end}
        return LabelledFiles(self.paths[some], self.labels[some], self.digests[some], faults)

    def sound(self) -> np.ndarray:
        """Returns int64, the positions of those that can be used."""
        is_sound = np.ones(len(self), bool)
        is_sound[list(self.faults)] = False
        return np.flatnonzero(is_sound)

    def bad(self) -> list[tuple[str, str]]:
        """Returns the path of each that cannot be used, and why, in order."""
        return [(self.paths[position], self.faults[position]) for position in sorted(self.faults)]


def without_contradictions(files: LabelledFiles) -> LabelledFiles:
    """Returns the files, with a fault for each whose copy has another label."""
    rows = files.sound()
    labels = files.labels[rows]
    _, first, number = np.unique(files.digests[rows], return_index=True, return_inverse=True)
    differs = np.flatnonzero(labels != labels[first][number])
    if not len(differs):
        return files
    last = dict(zip(number[differs].tolist(), differs.tolist(), strict=True))
    faults = dict(files.faults)
    for k in np.flatnonzero(np.isin(number, number[differs])).tolist():
        ends = first[number[k]], last[number[k]]
        other = files.paths[rows[ends[0] if labels[ends[0]] != labels[k] else ends[1]]]
        faults[int(rows[k])] = f"the same image is also in another class: {printable(other)}"
    return dataclasses.replace(files, faults=faults)


def group_copies(
    files: dict[str, LabelledFiles],
    opening: Opening,
    thumbnails: dict[str, np.ndarray],
    given: dict[str, list[str]] | None = None,
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Finds which files must not be parted: copies, near-duplicates, and those of one group that was given.

    Args:
        files: Of each split.
        opening: How they were opened; it says whether near-duplicates are looked for.
        thumbnails: By digest, of files that were read just now.
        given: Each file's group, "" for none; None: there are none.

    Returns:
        uint64[files] of each split, digests, equal for files that belong together; and notes.
    """
    digests = np.concatenate([some.digests for some in files.values()])
    near: list[tuple[int, int]] = []
    if opening.group_near_duplicates:
        paths = functools.reduce(PathColumn.joined, (some.paths for some in files.values()))
        pairs = near_duplicate_files(
            paths, digests, thumbnails, opening.progress, opening.value_range
        )
        near = [(int(a, 16), int(b, 16)) for a, b in pairs]
    names = [name for some in (given or {}).values() for name in some]
    ends = np.cumsum([0, *map(len, files.values())])
    keys = group_keys(digests, near, names)
    return (
        {split: keys[ends[k] : ends[k + 1]] for k, split in enumerate(files)},
        notes_on_copies({split: some.digests for split, some in files.items()}, near),
    )


def notes_on_copies(
    digests: Mapping[str, np.ndarray], near: Sequence[tuple[Any, Any]] = ()
) -> list[str]:
    """Returns notes on what stands twice.

    Args:
        digests: Of the files, by split; texts or numbers.
        near: Pairs of digests of near-duplicates.
    """
    notes = []
    train = np.unique(digests[TRAIN])
    copies = len(digests[TRAIN]) - len(train)
    if copies:
        notes.append(f"{copies} images are copies of others; copies stay in one split")
    in_pairs = np.unique(np.array(near, train.dtype))
    trained_on = set(in_pairs[np.isin(in_pairs, train)].tolist())
    alike = {digest for pair in near if trained_on.issuperset(pair) for digest in pair}
    if alike:
        notes.append(f"{len(alike)} images are near-duplicates of others; they stay in one split")
    partners: dict[Any, set] = {}
    for a, b in near:
        partners.setdefault(a, set()).add(b)
        partners.setdefault(b, set()).add(a)
    for split in (VALIDATION, TEST):
        own = digests.get(split, train[:0])
        is_shared = np.isin(own, train)
        if is_shared.any():
            notes.append(
                f"{is_shared.sum()} {split} images are also training images: their figures will be too high"
            )
        rest = own[~is_shared].tolist() if near else []
        close = sum(not trained_on.isdisjoint(partners.get(digest, ())) for digest in rest)
        if close:
            notes.append(
                f"{close} {split} images are near-duplicates of training images: their figures will be too high"
            )
    return notes
