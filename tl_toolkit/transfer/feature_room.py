"""Room for the feature cache's entries: reserved before anything is computed, held while it is read.

A lease is a locked file next to a list of entries and their sizes. The operating system drops the lock when the
process ends, however it ends; whoever next reserves room removes what such a process left.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import weakref
from collections.abc import Iterable, Mapping

import filelock

from tl_toolkit.errors import InputError
from tl_toolkit.files.atomic import write_json
from tl_toolkit.files.user_cache import VARIABLE

SPARE_BYTES = 2**30  # of the disk that the cache leaves free
LEASE, LEASE_LOCK, SHARD_LOCK = ".lease", ".lease.lock", ".lock"
ROOM_LOCK = "room.lock"
WAY_OUT = "Raise the limit with --cache-limit (FeatureCache(limit=…)), or give cache=False to always stream images"


class NoRoomError(InputError):
    """The features do not fit into the cache's limit, or onto its disk."""


class Lease:
    """Entries that no process removes until this is released, is garbage, or its process ends."""

    def __init__(self, place: pathlib.Path, sizes: Mapping[str, int]) -> None:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        path = place / f"{name}{LEASE}"
        # Garbage may be collected in another thread than the one that took the lock.
        lock = filelock.FileLock(place / f"{name}{LEASE_LOCK}", thread_local=False)
        lock.acquire()
        self._release = weakref.finalize(self, _release, lock, path, os.getpid())
        write_json(path, dict(sizes))

    def release(self) -> None:
        """Lets other processes remove the entries; a second call does nothing."""
        self._release()


def lease_room(place: pathlib.Path, sizes: Mapping[str, int], limit: float) -> Lease:
    """Makes room for entries and holds them.

    The least recently used entries that nobody holds are removed. Entries that others hold count with the
    bytes that they will have.

    Args:
        place: The cache's folder.
        sizes: Bytes that each entry takes when it is whole, by its name.
        limit: Bytes that all entries may take.

    Raises:
        NoRoomError: They do not fit; nothing was removed.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(place / ROOM_LOCK):
            held = _held(place)
            for name in sorted(_names_to_remove(place, sizes, held, limit)):
                shutil.rmtree(place / name, ignore_errors=True)
                for lock in place.glob(f"{name}.*{SHARD_LOCK}"):
                    lock.unlink(missing_ok=True)
            for name in sizes:
                (place / name).mkdir(exist_ok=True)
                os.utime(place / name)
            return Lease(place, sizes)
    except OSError as error:
        raise NoRoomError(
            f"the feature cache {str(place)!r} cannot be used: {error}. Set {VARIABLE} to another folder"
        ) from error


def _names_to_remove(
    place: pathlib.Path, sizes: Mapping[str, int], held: Mapping[str, int], limit: float
) -> list[str]:
    """Chooses the entries that make way, or raises."""
    found = _sizes_by_last_use(place)
    due = {
        name: max(found.get(name, 0), held.get(name, 0), sizes.get(name, 0))
        for name in {*held, *sizes}
    }
    own, fixed = sum(due[name] for name in sizes), sum(due.values())
    unwritten = sum(size - found.get(name, 0) for name, size in due.items())
    free = shutil.disk_usage(place).free - SPARE_BYTES
    removable = {name: size for name, size in found.items() if name not in due}
    needed = f"the features need {own / 1e9:.2f} GB"
    if fixed > limit:
        others = (
            f", of which runs under way use {(fixed - own) / 1e9:.2f} GB" if fixed > own else ""
        )
        raise NoRoomError(
            f"{needed}, and the cache's limit is {limit / 1e9:.2f} GB{others}. {WAY_OUT}"
        )
    is_whole = all(found.get(name, 0) >= size for name, size in sizes.items())
    if not is_whole and unwritten > free + sum(removable.values()):
        raise NoRoomError(
            f"{needed}, and the disk of {str(place)!r} has {max(free, 0) / 1e9:.2f} GB free. Make room on it, "
            "or give cache=False to always stream images"
        )
    used, chosen = fixed + sum(removable.values()), []
    for name, size in removable.items():
        if used <= limit and (is_whole or unwritten <= free):
            break
        chosen.append(name)
        used, free = used - size, free + size
    return chosen


def _held(place: pathlib.Path) -> dict[str, int]:
    """Returns the entries of all leases and their bytes; leases of processes that ended are removed."""
    held: dict[str, int] = {}
    for path in place.glob(f"*{LEASE}"):
        lock = path.with_name(path.name.removesuffix(LEASE) + LEASE_LOCK)
        try:
            with filelock.FileLock(lock, timeout=0):
                _unlink((path, lock))
        except filelock.Timeout:
            with contextlib.suppress(FileNotFoundError):  # released meanwhile
                for name, size in json.loads(path.read_text(encoding="utf-8")).items():
                    held[name] = max(held.get(name, 0), size)
    return held


def _sizes_by_last_use(place: pathlib.Path) -> dict[str, int]:
    """Returns the bytes of each entry, the least recently used first."""
    entries = [(entry.stat().st_mtime, entry) for entry in place.iterdir() if entry.is_dir()]
    return {
        entry.name: sum(path.stat().st_size for path in entry.glob("*.npy"))
        for _, entry in sorted(entries)
    }


def _release(lock: filelock.BaseFileLock, path: pathlib.Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked process must not end its parent's lease
        _unlink((path, pathlib.Path(lock.lock_file)))
        lock.release()


def _unlink(paths: Iterable[pathlib.Path]) -> None:
    for path in paths:
        with contextlib.suppress(
            OSError
        ):  # Windows keeps a locked file; the next reservation removes it
            path.unlink()
