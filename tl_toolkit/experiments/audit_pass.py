"""One pass over all photos of an audit: every core, columns of figures, no photo kept."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
from collections.abc import Iterator

import numpy as np

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.content_digests import THREADS, bytes_digest
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.listing import Listing
from tl_toolkit.data.near_duplicates import components, near_duplicates
from tl_toolkit.data.photo_check import KINDS, UNREADABLE, PhotoFacts, check_photo
from tl_toolkit.data.thumbnails import NUMBERS
from tl_toolkit.progress import Progress

AHEAD = 8  # photos that wait, for each core


@dataclasses.dataclass(frozen=True)
class PassColumns:
    """What the pass found, a row a photo.

    Attributes:
        digests: str[n], of the contents; "" where a file cannot be opened.
        formats: str[n], as Pillow names them.
        widths: int32[n], pixels; 0 where not known.
        heights: int32[n].
        sizes: int64[n], bytes.
        faults: str[n], one of `FAULTS`, or "".
        reasons: str[n], of the faults.
        figures: By kind of `KINDS`, float32[n], NaN where a photo has nothing of it.
        copies: int64[n], equal for copies of one file.
        near: int64[n], equal for near-duplicates and copies.
    """

    digests: np.ndarray
    formats: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    sizes: np.ndarray
    faults: np.ndarray
    reasons: np.ndarray
    figures: dict[str, np.ndarray]
    copies: np.ndarray
    near: np.ndarray


def pass_over(
    listing: Listing, progress: Progress, value_range: ValueRange | None = None
) -> PassColumns:
    """Reads every photo once; by a range, photos that it is not for are at fault."""
    count = len(listing)
    figures = {kind: np.full(count, np.nan, np.float32) for kind in KINDS}
    thumbnails = np.zeros((count, NUMBERS), np.uint8)
    widths, heights = np.zeros(count, np.int32), np.zeros(count, np.int32)
    sizes = np.zeros(count, np.int64)
    digests, formats, faults, reasons = ([""] * count for _ in range(4))
    with progress.stage("Looking at the photos", total=count) as stage:
        for k, (digest, size, facts) in enumerate(_facts(listing, value_range)):
            digests[k], sizes[k], formats[k] = digest, size, facts.format
            widths[k], heights[k] = facts.width, facts.height
            faults[k], reasons[k] = facts.fault, facts.reason
            thumbnails[k] = facts.thumbnail
            for kind, figure in facts.figures.items():
                figures[kind][k] = figure
            stage.advance()
    copies, near = _alike(np.array(digests, str), np.array(faults, str), thumbnails, progress)
    return PassColumns(
        digests=np.array(digests, str),
        formats=np.array(formats, str),
        widths=widths,
        heights=heights,
        sizes=sizes,
        faults=np.array(faults, str),
        reasons=np.array(reasons, str),
        figures=figures,
        copies=copies,
        near=near,
    )


def _facts(
    listing: Listing, value_range: ValueRange | None
) -> Iterator[tuple[str, int, PhotoFacts]]:
    """Yields every photo's digest, bytes and facts, in order; few wait at a time."""

    def look(number: int) -> tuple[str, int, PhotoFacts]:
        try:
            contents = listing.read(number)
        except OSError as error:
            reason = error.strerror or str(error)
            return "", 0, PhotoFacts("", 0, 0, UNREADABLE, reason, {}, np.zeros(NUMBERS, np.uint8))
        name = printable(str(listing.names[number])) if listing.are_files else ""
        facts = check_photo(contents, name, value_range)
        return bytes_digest(contents), len(contents), facts

    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for number in range(len(listing)):
            waiting.append(pool.submit(look, number))
            if len(waiting) > AHEAD * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _alike(
    digests: np.ndarray, faults: np.ndarray, thumbnails: np.ndarray, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the groups of copies and those of near-duplicates."""
    keys = np.where(digests == "", [f"no file {k}" for k in range(len(digests))], digests)
    _, first, copies = np.unique(keys, return_index=True, return_inverse=True)
    sound = np.flatnonzero(faults[first] == "")
    with progress.stage("Looking for near-duplicates"):
        pairs = near_duplicates(thumbnails[first[sound]])
    joined = components(len(first), sound[pairs.first], sound[pairs.second])
    return copies, joined[copies]
