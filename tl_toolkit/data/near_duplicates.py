"""Photos that are one picture: resized, compressed anew, turned, mirrored, or cut by up to 5% of a side.

A photo is described by the lowest frequencies of its thumbnail (a discrete cosine transform, as in pHash), each
seen through ten windows that a cut may have left and in the eight positions of a square; turning changes only signs and order
of the frequencies. How much a frequency tells is learned from the photos themselves by a linear discriminant (Fisher
1936): it counts more the more photos differ in it, and the less cutting changes it. What all photos of a data
set share, such as the bars of solar cells, so counts for nothing. Two photos are one picture where they are much
nearer to each other than either is to its eighth neighbour (the ratio test of Lowe 2004, section 7.1).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.fft
import scipy.linalg
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from tl_toolkit.data.thumbnails import SIDE

FREQUENCIES = 12  # a side of the transform that is kept, without the mean
DIRECTIONS = 64  # of the discriminant
CUT = 0.95  # of a side
# (top, height, left, width), as fractions of the photo's.
STEPS = (0, (1 - CUT) / 2, 1 - CUT)
WINDOWS = ((0.0, 1.0, 0.0, 1.0), *((top, CUT, left, CUT) for top in STEPS for left in STEPS))
LEAST_CONTRAST = 1.5  # standard deviation in grey levels: less shows nothing to compare
CONTRAST_NOISE = (
    5.0  # norm of the frequencies that re-encoding changes; damps what has little contrast
)
SIMULATED = 400  # photos that cuts are simulated on
CUTS = 16  # places of a cut, at least
MEASURED = 4096  # photos that the variance is measured on, at most
PRIOR = 50  # photos that the independence of frequencies counts for
# Chosen on copies that were planted among ELPV's photos, digits and drawings.
NEIGHBOUR = 8
MOST_OF_NEIGHBOUR = 0.12  # of the distance to that neighbour
FARTHEST, SAME = (
    0.12,
    0.004,
)  # squared distances on the unit sphere: at most, and near enough without the ratio
MOST_COLOUR = 16.0  # of the mean colour, grey aside, in levels
CELL = 2000  # photos of a cell, of those that are searched exhaustively
PROBED = 3  # cells that a photo is looked for in
QUERIES = 2048  # at once
# Up to so many photos the matrices are small, and two threads of a BLAS mostly wait for each other: 60 photos take
# 0.03 s of one core, or half a second of two that have other work too.
FOR_ONE_THREAD = 2000


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of near-duplicates.

    Attributes:
        first: int64[pairs], numbers of photos.
        second: int64[pairs], each over its first.
        distance: float32[pairs], squared, 0 for the same picture, 2 for unrelated ones.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray


def near_duplicates(thumbnails: np.ndarray) -> Pairs:
    """Finds the pairs.

    Up to 4,000 photos are compared all with all, by matrix products; more are first dealt into cells of about
    2,000 by k-means, and each looked for in the three nearest ones.

    Args:
        thumbnails: uint8[n, NUMBERS], of different files.
    """
    grey = thumbnails[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE).astype(np.float32)
    shown = np.flatnonzero(grey.std((1, 2)) >= LEAST_CONTRAST)
    if len(shown) < 2:
        return Pairs(*(np.zeros(0, t) for t in (np.int64, np.int64, np.float32)))
    colour = thumbnails[shown, SIDE * SIDE :].astype(np.float32)
    threads = 1 if len(shown) <= FOR_ONE_THREAD else None
    with threadpool_limits(threads, user_api="blas"):
        neighbours, distances = _neighbours(grey[shown])
    rows = np.repeat(np.arange(len(shown)), neighbours.shape[1])
    columns, found = neighbours.ravel(), distances.ravel()
    reach = distances[:, -1]
    is_near = found <= np.minimum(
        FARTHEST, MOST_OF_NEIGHBOUR * np.minimum(reach[rows], reach[columns])
    )
    chroma = colour - colour.mean(1, keepdims=True)
    is_near |= found <= SAME
    is_near &= np.abs(chroma[rows] - chroma[columns]).max(1) <= MOST_COLOUR
    low, high = np.minimum(rows, columns)[is_near], np.maximum(rows, columns)[is_near]
    _, once = np.unique(low * len(shown) + high, return_index=True)
    return Pairs(shown[low[once]], shown[high[once]], found[is_near][once].astype(np.float32))


def components(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns int64[count], equal for those that pairs join, directly or through others."""
    links = coo_array((np.ones(len(first), bool), (first, second)), (count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _neighbours(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest photos of each, int64[n, k], and float32[n, k] squared distances, rising."""
    count = len(grey)
    space = _Space.of(grey)
    kept = max(1, min(NEIGHBOUR, count - 1, max(2, count // 4)))
    windows = np.stack([space.place(_frequencies(grey, window)) for window in WINDOWS])
    cells = _cells(windows[0], space)
    best, best_distance = np.zeros((count, 0), np.int64), np.zeros((count, 0), np.float32)
    whole = _frequencies(grey, WINDOWS[0])
    for symmetry in range(8):
        turned = space.place(_turned(whole, symmetry))
        found, distance = cells.search(turned, windows, kept)
        best, best_distance = _merged(best, best_distance, found, distance, kept)
    # The other way about: the one that was searched for may be the uncut one.
    rows = np.repeat(np.arange(count), best.shape[1])
    order = np.lexsort((best_distance.ravel(), best.ravel()))
    target, origin, distance = best.ravel()[order], rows[order], best_distance.ravel()[order]
    rank = np.arange(len(target)) - np.searchsorted(target, target)
    is_kept = (rank < kept) & np.isfinite(distance)
    backwards = np.tile(np.arange(count)[:, None], kept)
    backwards_distance = np.full((count, kept), np.inf, np.float32)
    backwards[target[is_kept], rank[is_kept]] = origin[is_kept]
    backwards_distance[target[is_kept], rank[is_kept]] = distance[is_kept]
    return _merged(best, best_distance, backwards, backwards_distance, kept)


def _merged(
    one: np.ndarray,
    one_distance: np.ndarray,
    other: np.ndarray,
    other_distance: np.ndarray,
    kept: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest of both, each photo once."""
    found = np.concatenate([one, other], 1)
    distance = np.concatenate([one_distance, other_distance], 1)
    order = np.lexsort((distance, found))
    found, distance = np.take_along_axis(found, order, 1), np.take_along_axis(distance, order, 1)
    distance[:, 1:][found[:, 1:] == found[:, :-1]] = np.inf
    order = np.argsort(distance, 1)[:, :kept]
    return np.take_along_axis(found, order, 1), np.take_along_axis(distance, order, 1)


@dataclasses.dataclass(frozen=True)
class _Cells:
    """Photos dealt into cells, each searched as a whole.

    Attributes:
        centres: float32[cells, DIRECTIONS].
        members: Numbers of each cell's photos.
    """

    centres: np.ndarray
    members: list[np.ndarray]

    def search(
        self, queries: np.ndarray, windows: np.ndarray, kept: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the nearest photos of every query but itself, under any window, and the squared distances."""
        count = len(queries)
        probed = min(PROBED, len(self.members))
        nearest = np.argsort(-(queries @ self.centres.T), 1)[:, :probed]
        found = np.zeros((count, kept * probed), np.int64)
        distance = np.full((count, kept * probed), np.inf, np.float32)
        for cell, members in enumerate(self.members):
            rows, place = np.nonzero(nearest == cell)
            for start in range(0, len(rows), QUERIES):
                some, at = rows[start : start + QUERIES], place[start : start + QUERIES]
                similar = np.full((len(some), len(members)), -1, np.float32)
                for window in windows:
                    np.maximum(similar, queries[some] @ window[members].T, out=similar)
                similar[members[None] == some[:, None]] = -np.inf
                taken = min(kept, len(members))
                top = np.argpartition(-similar, taken - 1, 1)[:, :taken]
                columns = at[:, None] * kept + np.arange(taken)
                found[some[:, None], columns] = members[top]
                distance[some[:, None], columns] = 2 - 2 * np.take_along_axis(similar, top, 1)
        return found, np.maximum(distance, 0)


def _cells(places: np.ndarray, space: _Space) -> _Cells:
    if len(places) <= 2 * CELL:
        return _Cells(places[:1], [np.arange(len(places))])
    from sklearn.cluster import MiniBatchKMeans

    cells = MiniBatchKMeans(
        len(places) // CELL, random_state=0, n_init=1, batch_size=4096, max_iter=20
    ).fit(places)
    members = [np.flatnonzero(cells.labels_ == cell) for cell in range(cells.n_clusters)]
    is_used = [cell for cell, of_cell in enumerate(members) if len(of_cell)]
    return _Cells(cells.cluster_centers_[is_used], [members[cell] for cell in is_used])


@dataclasses.dataclass(frozen=True)
class _Space:
    """Directions in which these photos differ, and cuts do not.

    Attributes:
        mean: float32[frequencies].
        directions: float32[frequencies, DIRECTIONS], whitened.
    """

    mean: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, grey: np.ndarray) -> _Space:
        chosen = np.random.default_rng(0).permutation(len(grey))[:MEASURED]
        whole = _frequencies(grey[np.sort(chosen)], WINDOWS[0])
        turned = np.concatenate([_turned(whole, symmetry) for symmetry in range(8)])
        mean = turned.mean(0)
        total = np.cov(turned.T)
        own = len(grey) / (len(grey) + PRIOR)
        total = own * total + (1 - own) * np.diag(np.diag(total))
        within = _scatter_of_cuts(grey)
        within += 1e-3 * np.trace(within) / len(within) * np.eye(len(within))
        total += 1e-6 * np.trace(total) / len(total) * np.eye(len(total))
        values, vectors = scipy.linalg.eigh(total, within)
        chosen = vectors[:, -DIRECTIONS:] / np.sqrt(values[-DIRECTIONS:])
        return cls(mean.astype(np.float32), chosen.astype(np.float32))

    def place(self, frequencies: np.ndarray) -> np.ndarray:
        """Returns float32[n, DIRECTIONS], points of the unit sphere."""
        points = (frequencies - self.mean) @ self.directions
        return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)


def _scatter_of_cuts(grey: np.ndarray) -> np.ndarray:
    """Returns the mean square of what the nearest window still misses of a photo that was cut somewhere, and noise."""
    rng = np.random.default_rng(0)
    chosen = grey[rng.permutation(len(grey))[:SIMULATED]]
    seen = np.stack([_frequencies(chosen, window) for window in WINDOWS])
    missed = []
    for _ in range(max(CUTS, SIMULATED // len(chosen))):
        top, left = rng.uniform(0, 1 - CUT, 2)
        noisy = chosen + rng.normal(0, 1, chosen.shape).astype(np.float32)
        cut = _frequencies(noisy, (top, CUT, left, CUT))
        difference = seen - cut
        nearest = (difference**2).sum(2).argmin(0)
        missed.append(difference[nearest, np.arange(len(chosen))])
    rows = np.concatenate(missed)
    return rows.T @ rows / len(rows)


def _frequencies(grey: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray:
    """Returns float32[n, FREQUENCIES² - 1]: the transform of a window, free of the mean and mostly of contrast."""
    top, height, left, width = window
    rows, columns = _transform(top, height), _transform(left, width)
    found = (rows @ grey @ columns.T).reshape(len(grey), -1)[:, 1:]
    return found / (np.linalg.norm(found, axis=1, keepdims=True) + CONTRAST_NOISE)


def _transform(start: float, length: float) -> np.ndarray:
    """Returns float32[FREQUENCIES, SIDE]: interpolates a window of a row, and transforms it."""
    at = np.clip((start + length * (np.arange(SIDE) + 0.5) / SIDE) * SIDE - 0.5, 0, SIDE - 1)
    before = np.minimum(at.astype(int), SIDE - 2)
    share = at - before
    interpolate = np.zeros((SIDE, SIDE))
    interpolate[np.arange(SIDE), before] = 1 - share
    interpolate[np.arange(SIDE), before + 1] += share
    cosine = scipy.fft.dct(np.eye(SIDE), axis=0, norm="ortho")[:FREQUENCIES]
    return (cosine @ interpolate).astype(np.float32)


def _turned(frequencies: np.ndarray, symmetry: int) -> np.ndarray:
    """Returns the frequencies of the photos in another of the eight positions of a square."""
    square = np.pad(frequencies, ((0, 0), (1, 0))).reshape(-1, FREQUENCIES, FREQUENCIES)
    signs = (-1.0) ** np.arange(FREQUENCIES)
    if symmetry & 1:
        square = square * signs[:, None]
    if symmetry & 2:
        square = square * signs
    if symmetry & 4:
        square = square.transpose(0, 2, 1)
    return square.reshape(len(square), -1)[:, 1:].astype(np.float32)
