"""Images identified by their contents. A file of unchanged size and time is not read again."""

from __future__ import annotations

import array
import concurrent.futures
import hashlib
import os
import pathlib
from collections.abc import Callable, Sequence

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
from tl_toolkit.data.shard_images import ShardImages
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.progress import Stage

DIGEST_SIZE = DIGEST_BYTES
THREADS = 8
AT_A_TIME = 4096  # files: what waits to be read is held in memory
LARGEST_INT64 = 2**63 - 1
CHECKED = "checked"  # the check that every photo passes; other checks have other names


def content_digests(split: Split | None) -> np.ndarray:
    """Returns str[n], digests of the images' files, or of their pixels; empty for None."""
    if split is None or not len(split):
        return np.array([], str)
    return digests_of_images(split.images)


def digests_of_images(images: Images) -> np.ndarray:
    """Returns str[n], digests of the images' files, or of their pixels."""
    if isinstance(images, FileImages):
        return np.array(list(map(_raised, file_digests([str(path) for path in images.paths]))), str)
    if isinstance(images, ShardImages):
        return images.digests()
    return np.array([bytes_digest(images.identity(index)) for index in range(len(images))], str)


def file_digests(
    paths: Sequence[str],
    check: Callable[[bytes, str], None] | None = None,
    stage: Stage | None = None,
    name: str = CHECKED,
) -> list[str | OSError | InputError]:
    """Returns a digest of each file's contents; a file is read where its size or time changed since.

    Args:
        paths: Of the files.
        check: Called with the contents, and their digest, of every file that it has not passed yet; raises `InputError`.
        stage: Counts the files that are done.
        name: Of the check: what has passed another one has not passed this one.

    Returns:
        A digest, or in its place what reading or checking the file raised.
    """
    paths = [_absolute(path) for path in paths]
    place = _place(folder_above(paths))
    known, keys = read_known_files(place), keys_of(paths)
    rows = known.rows_of(keys)
    is_known = rows >= 0
    if check is not None:
        is_known[is_known] = known.has_passed(name)[rows[is_known]]

    found: list[str | OSError | InputError] = [""] * len(paths)
    read, stamps, digests = array.array("q"), array.array("q"), bytearray()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(paths), AT_A_TIME):
            some = range(start, min(start + AT_A_TIME, len(paths)))
            changed = [p for p in some if not is_known[p]]
            unread = np.array([p for p in some if is_known[p]], np.int64)
            changed += _unchanged(paths, unread, known, rows[unread], found)
            if stage is not None:
                stage.advance(len(some) - len(changed))
            for position, entry in zip(
                changed, pool.map(lambda p: _read_entry(paths[p], check), changed), strict=True
            ):
                if isinstance(entry, Exception):
                    found[position] = entry
                else:
                    stamp, found[position] = entry
                    read.append(position)
                    stamps.extend(stamp)
                    digests += bytes.fromhex(entry[1])
                if stage is not None:
                    stage.advance()
    if place is not None and read:
        new = known.updated(
            keys[np.array(read, np.int64)],
            np.array(stamps, np.int64).reshape(-1, STAMP),
            np.frombuffer(bytes(digests), np.uint8).reshape(-1, DIGEST_SIZE),
            None if check is None else name,
        )
        write_known_files(place, new)
    return found


def _unchanged(
    paths: Sequence[str],
    positions: np.ndarray,
    known: KnownFiles,
    rows: np.ndarray,
    found: list[str | OSError | InputError],
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
            found[position] = error
            gone.add(position)
    is_same = (stamps == known.stamps[rows]).all(1)
    digits = known.digests[rows[is_same]].tobytes().hex()
    for k, position in enumerate(positions[is_same].tolist()):
        found[position] = digits[2 * DIGEST_SIZE * k : 2 * DIGEST_SIZE * (k + 1)]
    return [position for position in positions[~is_same].tolist() if position not in gone]


def folder_above(paths: Sequence[str]) -> str:
    """Returns the folder that holds the lowest folder of all files, "" for no files; caches go by it."""
    if not paths:
        return ""
    # What these two have in common, all have: no file is a folder of another.
    ends = _absolute(min(paths)), _absolute(max(paths))
    return os.path.dirname(os.path.commonpath(ends))


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


def _raised(found: str | Exception) -> str:
    if isinstance(found, Exception):
        raise found
    return found


def bytes_digest(contents: bytes) -> str:
    """Returns the digest of a file's contents."""
    return hashlib.blake2b(contents, digest_size=DIGEST_SIZE).hexdigest()


def _place(root: str) -> pathlib.Path | None:
    """Returns the file for all images below a folder; None where there is no place for a cache."""
    try:
        return cache_folder() / "digests" / f"{bytes_digest(os.fsencode(root))}.npz"
    except InputError:
        return None
