"""Images identified by their contents. A file of unchanged size and time is not read again."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from tl_toolkit.data.dataset import FileImages, Images, Split
from tl_toolkit.data.known_files import (
    DIGEST_BYTES,
    STAMP,
    KnownFiles,
    keys_of,
    read_known_files,
    write_known_files,
)
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.data.shard_images import ShardImages
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.progress import Stage

DIGEST_SIZE, BIG_ENDIAN = DIGEST_BYTES, np.dtype(">u8")
THREADS = 8
AT_A_TIME = 4096  # files: what waits to be read is held in memory
LARGEST_INT64 = 2**63 - 1
CHECKED = "checked"  # the check that every photo passes; other checks have other names


@dataclasses.dataclass(frozen=True)
class FileDigests:
    """What files hold, as numbers of 64 bits, which are in the order of the digests' texts.

    Attributes:
        values: uint64[n]; 0 where a file has none.
        faults: What reading or checking a file raised, by its position.
    """

    values: np.ndarray
    faults: dict[int, OSError | InputError] = dataclasses.field(default_factory=dict)

    def texts(self) -> np.ndarray:
        """Returns str[n], the digests in hexadecimal; raises the first fault, where there is one."""
        for position in sorted(self.faults):
            raise self.faults[position]
        return digest_texts(self.values)


def digest_texts(values: np.ndarray) -> np.ndarray:
    """Returns str[n], digests of uint64[n] in hexadecimal."""
    digits = values.astype(BIG_ENDIAN).tobytes().hex().encode()
    return np.frombuffer(digits, f"S{2 * DIGEST_SIZE}").astype(str) if digits else np.array([], str)


def digest_values(digests: np.ndarray) -> np.ndarray:
    """Returns uint64[n], of digests as uint8[n, 8]."""
    return np.ascontiguousarray(digests).view(BIG_ENDIAN).ravel().astype(np.uint64)


def content_digests(split: Split | None) -> np.ndarray:
    """Returns str[n], digests of the images' files, or of their pixels; empty for None."""
    if split is None or not len(split):
        return np.array([], str)
    return digests_of_images(split.images)


def digests_of_images(images: Images) -> np.ndarray:
    """Returns str[n], digests of the images' files, or of their pixels."""
    if isinstance(images, FileImages):
        return file_digests(images.paths).texts()
    if isinstance(images, ShardImages):
        return images.digests()
    return np.array([bytes_digest(images.identity(index)) for index in range(len(images))], str)


def file_digests(
    paths: PathColumn,
    check: Callable[[bytes, str], None] | None = None,
    stage: Stage | None = None,
    name: str = CHECKED,
) -> FileDigests:
    """Returns a digest of each file's contents; a file is read where its size or time changed since.

    Args:
        paths: Of the files.
        check: Called with the contents, and their digest, of every file that it has not passed yet; raises `InputError`.
        stage: Counts the files that are done.
        name: Of the check: what has passed another one has not passed this one.
    """
    place = _place(paths.folder_above())
    known, keys = read_known_files(place), keys_of(map(_absolute, paths))
    is_known = known.rows_of(keys) >= 0
    if check is not None:
        is_known[is_known] = known.has_passed(name)[known.rows_of(keys[is_known])]
    passed = None if check is None else name

    found = FileDigests(np.zeros(len(paths), np.uint64))
    has_room = is_new = False
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(paths), AT_A_TIME):
            some = np.arange(start, min(start + AT_A_TIME, len(paths)))
            texts = dict(zip(some.tolist(), map(_absolute, paths[some]), strict=True))
            unread = some[is_known[some]]
            changed = some[~is_known[some]].tolist()
            changed += _unchanged(texts, unread, known, known.rows_of(keys[unread]), found)
            if stage is not None:
                stage.advance(len(some) - len(changed))
            if changed and not has_room:
                known, has_room = known.with_room_for(keys, passed), True
            entries = pool.map(lambda path: _read_entry(path, check), map(texts.get, changed))
            read: list[int] = []
            stamps: list[list[int]] = []
            for position, entry in zip(changed, entries, strict=True):
                if isinstance(entry, Exception):
                    found.faults[position] = entry
                else:
                    stamp, digest = entry
                    found.values[position] = int(digest, 16)
                    read.append(position)
                    stamps.append(stamp)
                if stage is not None:
                    stage.advance()
            if read:
                is_new = True
                digests = found.values[read].astype(BIG_ENDIAN).view(np.uint8)
                known.take_in(
                    known.rows_of(keys[read]),
                    np.array(stamps, np.int64),
                    digests.reshape(-1, DIGEST_SIZE),
                    passed,
                )
    if place is not None and is_new:
        write_known_files(place, known.without_unread())
    return found


def _unchanged(
    paths: Mapping[int, str],
    positions: np.ndarray,
    known: KnownFiles,
    rows: np.ndarray,
    found: FileDigests,
) -> list[int]:
    """Looks at known files; puts the digest of each that is unchanged, or what looking at it raised, into `found`.

    Returns:
        The positions of the others.
    """
    stamps = np.full((len(positions), STAMP), -1, np.int64)
    gone = set()
    for k, position in enumerate(positions.tolist()):
        try:
            stamps[k] = _stamp(paths[position])
        except OSError as error:
            found.faults[position] = error
            gone.add(position)
    is_same = (stamps == known.stamps[rows]).all(1)
    found.values[positions[is_same]] = digest_values(known.digests[rows[is_same]])
    return [position for position in positions[~is_same].tolist() if position not in gone]


def _absolute(path: str) -> str:
    is_plain = path.startswith("/") and "/." not in path and "//" not in path
    return path if is_plain else os.path.abspath(path)


def _read_entry(
    path: str, check: Callable[[bytes, str], None] | None
) -> tuple[list[int], str] | OSError | InputError:
    """Returns a file's stamp and digest, or what reading or checking it raised."""
    try:
        stamp = _stamp(path)
        contents = pathlib.Path(path).read_bytes()
        digest = bytes_digest(contents)
        if check is not None:
            check(contents, digest)
    except (OSError, InputError) as error:
        return error
    return stamp, digest


def _stamp(path: str) -> list[int]:
    status = os.stat(path)
    # Numbers of inodes may have 64 bits, and columns hold signed ones.
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & LARGEST_INT64]


def bytes_digest(contents: bytes) -> str:
    """Returns the digest of a file's contents."""
    return hashlib.blake2b(contents, digest_size=DIGEST_SIZE).hexdigest()


def _place(root: str) -> pathlib.Path | None:
    """Returns the file for all images below a folder; None where there is no place for a cache."""
    try:
        return cache_folder() / "digests" / f"{bytes_digest(os.fsencode(root))}.npz"
    except InputError:
        return None
