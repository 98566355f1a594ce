"""Shrunk copies of photos in the user's cache, by the contents that they were made of."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.data.shrunk_photos import VERSION, is_large
from tl_toolkit.errors import InputError
from tl_toolkit.files.atomic import written_aside
from tl_toolkit.files.user_cache import cache_folder

FOLDER = "prepared"
LIMIT = 20 * 10**9  # bytes of all copies, of whatever size and data
SPARE_BYTES = 2**30  # of the disk that is left free
LOOKED_AT = 50  # photos by which it is guessed how many are large
BYTES_PER_SQUARE = 4 / 3 * 2 / 8  # of a copy with some noise: two bits a pixel
LEFT_OVER_SECONDS = 3600  # a file that was being written for so long is nobody's


class PhotoCopies:
    """The copies of some photos, of one size. Any may be missing at any time: whoever needs it makes it again.

    Attributes:
        side: Pixels of the shorter side.
    """

    def __init__(
        self,
        side: int,
        paths: PathColumn | Sequence[str],
        digests: Sequence[str] = (),
        limit: float = LIMIT,
        value_range: ValueRange | None = None,
    ) -> None:
        """Takes the photos' files.

        Args:
            side: See there.
            paths: Of the photos.
            digests: Of their contents, where they are known.
            limit: Bytes that the copies of all photos may take.
            value_range: By which the photos are scaled; copies of other ranges lie elsewhere.
        """
        self.side = side
        self._paths, self._digests, self._limit = paths, digests, limit
        # Copies of another version are not read, and make way as any others.
        name = "-".join(map(str, (f"v{VERSION}", side, *(value_range or ()))))
        try:
            self._folder: pathlib.Path | None = cache_folder() / FOLDER / name
        except InputError:
            self._folder = None
        self._room: float | None = None  # bytes, once something is to be kept
        self._lock = threading.Lock()

    def read(self, digest: str) -> bytes | None:
        """Returns a photo's copy; None where there is none."""
        if self._folder is None:
            return None
        place = _place(self._folder, digest)
        try:
            copy = place.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(place)  # those that were not used for longest make way
        return copy

    def keep(self, digest: str, copy: bytes) -> None:
        """Writes a photo's copy, if there is room for it; the first one makes room for all."""
        if self._folder is None:
            return
        with self._lock:
            if self._room is None:
                self._room = _make_room(self._folder, self._missing_bytes(), self._limit)
            if self._room < len(copy):
                return
            self._room -= len(copy)
        place = _place(self._folder, digest)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(place) as aside:
                aside.write_bytes(copy)
        except OSError:  # such as a disk that somebody else has filled
            self._room = 0.0

    def _missing_bytes(self) -> float:
        """Guesses how many bytes of copies are to come."""
        if self._folder is None:
            return 0.0
        kept = sum(_place(self._folder, digest).is_file() for digest in self._digests)
        some = self._paths[:: max(1, len(self._paths) // LOOKED_AT)]
        share = sum(is_large(path, self.side) for path in some) / max(1, len(some))
        return share * (len(self._paths) - kept) * self.side**2 * BYTES_PER_SQUARE


def _place(folder: pathlib.Path, digest: str) -> pathlib.Path:
    return folder / digest[:2] / digest


def _make_room(folder: pathlib.Path, needed: float, limit: float) -> float:
    """Removes the copies, of any size, that were not used for longest, until so many bytes more fit.

    Returns:
        How many bytes fit.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copies = sorted(_copies(folder.parent))
        used = sum(size for _, size, _ in copies)
        free = shutil.disk_usage(folder).free - SPARE_BYTES
        for _, size, path in copies:
            if used + needed <= limit and needed <= free:
                break
            path.unlink(missing_ok=True)
            used, free = used - size, free + size
        return min(limit - used, free)
    except OSError:
        return 0.0


def _copies(folder: pathlib.Path) -> Iterator[tuple[float, int, pathlib.Path]]:
    """Yields when each copy was last used, its bytes and its path; what a killed process left is removed."""
    long_ago = time.time() - LEFT_OVER_SECONDS
    for parent, _, names in os.walk(folder):
        for name in names:
            path = pathlib.Path(parent, name)
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.suffix != ".partial":
                    yield status.st_mtime, status.st_size, path
                elif status.st_mtime < long_ago:
                    path.unlink()
