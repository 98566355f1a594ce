"""Images told by their contents. A file that has its size and time of change is not read again for that."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
from os.path import commonpath

import numpy as np

from tl_toolkit.data.dataset import FileImages, Split
from tl_toolkit.user_cache import cache_folder

DIGEST_SIZE = 8


def content_digests(split: Split | None) -> np.ndarray:
    """Returns str[n], a digest of each image's file contents; empty for None."""
    if split is None or not len(split):
        return np.array([], str)
    images = split.images
    if isinstance(images, FileImages):
        return np.array(_file_digests([str(path) for path in images.paths]), str)
    return np.array([_digest(images.encoded(index)) for index in range(len(images))], str)


def _digest(contents: bytes) -> str:
    return hashlib.blake2b(contents, digest_size=DIGEST_SIZE).hexdigest()


def _file_digests(paths: list[str]) -> list[str]:
    paths = [os.path.abspath(path) for path in paths]
    root = os.path.dirname(commonpath(paths))
    manifest = cache_folder() / "digests" / f"{_digest(root.encode())}.json"
    known = _read(manifest)
    found = {}
    for path in paths:
        status = os.stat(path)
        entry = known.get(path)
        if entry is None or entry[:2] != [status.st_size, status.st_mtime_ns]:
            contents = pathlib.Path(path).read_bytes()
            entry = [status.st_size, status.st_mtime_ns, _digest(contents)]
        found[path] = entry
    if any(known.get(path) != entry for path, entry in found.items()):
        _write(manifest, {**known, **found})
    return [found[path][2] for path in paths]


def _read(manifest: pathlib.Path) -> dict:
    try:
        return json.loads(manifest.read_bytes())
    except (OSError, ValueError):
        return {}


def _write(manifest: pathlib.Path, entries: dict) -> None:
    # Without room for it, the files are read again next time.
    with contextlib.suppress(OSError):
        manifest.parent.mkdir(parents=True, exist_ok=True)
        aside = manifest.with_name(f"{manifest.name}.{os.getpid()}.partial")
        aside.write_text(json.dumps(entries))
        os.replace(aside, manifest)
