"""Thumbnails and the near-duplicates among them, kept in the user's cache by the contents of the files."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.array_file import write_arrays_if_room
from tl_toolkit.data.content_digests import AT_A_TIME, DIGEST_SIZE, THREADS, digest_texts
from tl_toolkit.data.near_duplicates import Pairs, near_duplicates
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.data.thumbnails import NUMBERS, thumbnail_of_file
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.progress import SILENT, Progress

VERSION = 2  # of the thumbnails and of the search
# What reading a damaged file raises.
UNSOUND = (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile)


def near_duplicate_files(
    paths: PathColumn,
    digests: np.ndarray,
    seen: Mapping[str, np.ndarray],
    progress: Progress = SILENT,
    value_range: ValueRange | None = None,
) -> list[tuple[str, str]]:
    """Returns pairs of digests whose files show one picture; a set of files is searched once.

    Args:
        paths: Of the files.
        digests: uint64[n], of their contents.
        seen: Thumbnails that were made a moment ago, by digest.
        progress: Shows the search.
        value_range: By which the photos are scaled.
    """
    values, first = np.unique(digests, return_index=True)
    if len(values) < 2:
        return []
    place = _place(paths, value_range)
    of_all = _digest_of_all(values)
    found = _found_before(place, of_all)
    if found is not None:
        return found
    unique = digest_texts(values).tolist()
    path_of = dict(zip(unique, paths[first], strict=True))
    thumbnails = {**_kept_thumbnails(place), **seen}
    missing = [digest for digest in unique if digest not in thumbnails]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        made = pool.map(lambda digest: _thumbnail_of_path(path_of[digest], value_range), missing)
        thumbnails.update(zip(missing, made, strict=True))
    rows = np.stack([thumbnails[digest] for digest in unique])
    with progress.stage("Looking for near-duplicates"):
        pairs: Pairs = near_duplicates(rows)
    found = [(unique[a], unique[b]) for a, b in zip(pairs.first, pairs.second, strict=True)]
    _write(place, unique, rows, of_all, pairs)
    return found


def shown_or_blank(thumbnail: np.ndarray | None) -> np.ndarray:
    """Returns the thumbnail; what Pillow cannot read is blank, and like nothing."""
    return np.zeros(NUMBERS, np.uint8) if thumbnail is None else thumbnail


def _thumbnail_of_path(path: str, value_range: ValueRange | None) -> np.ndarray:
    return shown_or_blank(thumbnail_of_file(pathlib.Path(path).read_bytes(), value_range))


def _digest_of_all(values: np.ndarray) -> bytes:
    """Returns a digest of the version and of all files' digests, as lines of text."""
    of_all = hashlib.blake2b(str(VERSION).encode(), digest_size=16)
    for start in range(0, len(values), AT_A_TIME):
        of_all.update("\n".join(["", *digest_texts(values[start : start + AT_A_TIME])]).encode())
    return of_all.digest()


def _place(paths: PathColumn, value_range: ValueRange | None) -> pathlib.Path | None:
    of = os.fsencode(paths.folder_above())
    if value_range is not None:
        of += b"\0" + repr(value_range).encode()
    name = hashlib.blake2b(of, digest_size=DIGEST_SIZE).hexdigest()
    try:
        return cache_folder() / "thumbnails" / f"{name}.npz"
    except InputError:
        return None


def _found_before(place: pathlib.Path | None, of_all: bytes) -> list[tuple[str, str]] | None:
    """Returns the pairs that a search of the same files found; None where there was none, or its file is not sound."""
    try:
        if place is None:
            return None
        # Each array is read where it is asked for.
        with place.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if stored["searched"].tobytes() != of_all:
                return None
            digests, pairs = stored["digests"], stored["pairs"]
            return [(digests[a].decode(), digests[b].decode()) for a, b in pairs]
    except UNSOUND:
        return None


def _kept_thumbnails(place: pathlib.Path | None) -> dict[str, np.ndarray]:
    """Returns thumbnails by digest; none where their file is not sound."""
    try:
        if place is None:
            return {}
        with place.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            digests, rows = stored["digests"], stored["thumbnails"]
            if int(stored["version"]) != VERSION or rows.shape != (len(digests), NUMBERS):
                return {}
            return {digest.decode(): row for digest, row in zip(digests, rows, strict=True)}
    except UNSOUND:
        return {}


def _write(
    place: pathlib.Path | None,
    digests: Sequence[str],
    rows: np.ndarray,
    searched: bytes,
    pairs: Pairs,
) -> None:
    # Without room for it, the thumbnails are made again next time.
    if place is not None:
        write_arrays_if_room(
            place,
            version=VERSION,
            digests=np.array([digest.encode() for digest in digests]),
            thumbnails=rows,
            searched=np.frombuffer(searched, np.uint8),
            pairs=np.stack([pairs.first, pairs.second], 1),
        )
