"""Paths of a million files in 25 MB: their folders once each, and their names one behind the other."""

from __future__ import annotations

import array
import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import Any, Self, overload

import numpy as np

# Any text can be written so, names of files that are not UTF-8 too.
ENCODING, ERRORS = "utf-8", "surrogatepass"
AT_A_TIME = 16_384  # names whose bytes are picked at once


@dataclasses.dataclass(frozen=True, eq=False)
class PathColumn:
    """Paths, each a `str` where it is asked for; an array of positions, or a slice, gives a column.

    Attributes:
        folders: Each with the separator at its end; "" for a name alone.
        folder_of: int32[n], the number of each one's folder.
        text: uint8[bytes], the names.
        ends: int64[n], where each name ends in it.
    """

    folders: tuple[str, ...]
    folder_of: np.ndarray
    text: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, paths: Iterable[Any]) -> Self:
        """Returns the paths, each taken as `str` says it, in their order."""
        number_of: dict[str, int] = {}
        folder_of, ends, text = array.array("i"), array.array("q"), bytearray()
        for path in paths:
            folder, separator, name = str(path).rpartition(os.sep)
            folder_of.append(number_of.setdefault(folder + separator, len(number_of)))
            text += name.encode(ENCODING, ERRORS)
            ends.append(len(text))
        return cls(
            tuple(number_of),
            np.array(folder_of, np.int32),
            np.array(text, np.uint8),
            np.array(ends, np.int64),
        )

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, chosen: int | np.integer) -> str: ...
    @overload
    def __getitem__(self, chosen: np.ndarray | slice) -> Self: ...
    def __getitem__(self, chosen: int | np.integer | np.ndarray | slice) -> str | Self:
        if isinstance(chosen, (int, np.integer)):
            position = range(len(self))[chosen]
            start = self.ends[position - 1] if position else 0
            name = self.text[start : self.ends[position]].tobytes().decode(ENCODING, ERRORS)
            return self.folders[self.folder_of[position]] + name
        return self._taken(np.arange(len(self))[chosen])

    def __iter__(self) -> Iterator[str]:
        begin = 0
        for first in range(0, len(self), AT_A_TIME):
            some = slice(first, first + AT_A_TIME)
            ends = self.ends[some].tolist()
            names = self.text[begin : ends[-1]].tobytes()
            start = 0
            for folder, end in zip(self.folder_of[some].tolist(), ends, strict=True):
                name = names[start : end - begin]
                yield self.folders[folder] + name.decode(ENCODING, ERRORS)
                start = end - begin
            begin = ends[-1]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.tolist(), str if dtype is None else dtype)

    def tolist(self) -> list[str]:
        """Returns all of them."""
        return list(self)

    def joined(self, other: PathColumn) -> Self:
        """Returns these paths and then the others."""
        moved = other.folder_of + np.int32(len(self.folders))
        return dataclasses.replace(
            self,
            folders=self.folders + other.folders,
            folder_of=np.concatenate([self.folder_of, moved]),
            text=np.concatenate([self.text, other.text]),
            ends=np.concatenate([self.ends, other.ends + len(self.text)]),
        )

    def folder_above(self) -> str:
        """Returns the folder that holds the lowest folder of all files, absolute; "" for no files."""
        used = [self.folders[number] for number in np.unique(self.folder_of).tolist()]
        if not used:
            return ""
        lowest = os.path.commonpath([os.path.abspath(folder) for folder in used])
        is_one_file = len(used) == 1 and all(path == self[0] for path in self)
        return lowest if is_one_file else os.path.dirname(lowest)

    def _taken(self, positions: np.ndarray) -> Self:
        starts = np.concatenate([[0], self.ends[:-1]])[positions] if len(self) else self.ends
        sizes = self.ends[positions] - starts
        ends = np.cumsum(sizes)
        text = np.empty(int(sizes.sum()), np.uint8)
        for first in range(0, len(positions), AT_A_TIME):
            some = slice(first, first + AT_A_TIME)
            begin = ends[first] - sizes[first]
            # How far each name moves, for every byte of it.
            moves = np.repeat(starts[some] - (ends[some] - sizes[some]), sizes[some])
            end = begin + len(moves)
            text[begin:end] = self.text[np.arange(begin, end) + moves]
        return dataclasses.replace(
            self, folder_of=self.folder_of[positions], text=text, ends=ends.astype(np.int64)
        )
