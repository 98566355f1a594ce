"""Images identified by their contents. A file of unchanged size and time is not read again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from tl_toolkit.data.dataset import FileImages, Images, Split
from tl_toolkit.data.shard_images import ShardImages
from tl_toolkit.errors import InputError
from tl_toolkit.files.atomic import write_text
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.progress import Stage

DIGEST_SIZE = 8
THREADS = 8
STAMP = 4  # size, times and inode of a file, before its digest
CHECKED = "checked"  # stands behind a file's digest


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
) -> list[str | OSError | InputError]:
    """Returns a digest of each file's contents; a file is read where its size or time changed since.

    Args:
        paths: Of the files.
        check: Called with the contents, and their digest, of every file that it has not passed yet; raises `InputError`.
        stage: Counts the files that are done.

    Returns:
        A digest, or in its place what reading or checking the file raised.
    """
    paths = [_absolute(path) for path in paths]
    manifest = _manifest(folder_above(paths))
    known = _read(manifest) if manifest is not None else {}

    entries: list[list | OSError | InputError] = []
    changed: list[int] = []
    for position, path in enumerate(paths):
        entry = _entry_of(path, known.get(path), check is not None)
        if entry is None:
            changed.append(position)
        elif stage is not None:
            stage.advance()
        entries.append(entry or [])
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        read = pool.map(lambda position: _read_entry(paths[position], check), changed)
        for position, found in zip(changed, read, strict=True):
            entries[position] = found
            if stage is not None:
                stage.advance()
    new = {paths[k]: found for k in changed if isinstance(found := entries[k], list)}
    if manifest is not None and new:
        _write(manifest, {**known, **new})
    return [entry[STAMP] if isinstance(entry, list) else entry for entry in entries]


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


def _entry_of(path: str, known: list | None, is_to_be_checked: bool) -> list | OSError | None:
    """Returns what is known of a file, or what looking at it raised; None where it must be read."""
    if known is None:
        return None
    try:
        is_known = known[:STAMP] == _stamp(path) and (not is_to_be_checked or CHECKED in known)
    except OSError as error:
        return error
    return known if is_known else None


def _read_entry(
    path: str, check: Callable[[bytes, str], None] | None
) -> list | OSError | InputError:
    try:
        stamp = _stamp(path)
        contents = pathlib.Path(path).read_bytes()
        digest = bytes_digest(contents)
        if check is not None:
            check(contents, digest)
    except (OSError, InputError) as error:
        return error
    return [*stamp, digest, *([CHECKED] if check is not None else [])]


def _stamp(path: str) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _raised(found: str | Exception) -> str:
    if isinstance(found, Exception):
        raise found
    return found


def bytes_digest(contents: bytes) -> str:
    """Returns the digest of a file's contents."""
    return hashlib.blake2b(contents, digest_size=DIGEST_SIZE).hexdigest()


def _manifest(root: str) -> pathlib.Path | None:
    """Returns the file for all images below a folder; None where there is no place for a cache."""
    try:
        return cache_folder() / "digests" / f"{bytes_digest(os.fsencode(root))}.json"
    except InputError:
        return None


def _read(manifest: pathlib.Path) -> dict:
    try:
        return json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        return {}


def _write(manifest: pathlib.Path, entries: dict) -> None:
    # Without room for it, the files are read again next time.
    with contextlib.suppress(OSError):
        manifest.parent.mkdir(parents=True, exist_ok=True)
        write_text(manifest, json.dumps(entries))
