"""Whether two photos are one picture, by another look than the audit's: at finer detail, pair by pair.

The audit's search sees thumbnails of 32 pixels, and of them the lowest frequencies. Here photos are 96 pixels a side, and
filtered so that detail of 1 to 8 pixels is left; the mean of each row and column is taken off (bars that run through a whole
photo), and then what most photos share: their first principal components, one for 26 photos and at most 100. Two photos
are compared in the eight positions of a square, moved by up to three pixels, by the normalised
correlation; the best counts. They are one picture where it is higher than that of all but one in a thousand pairs drawn at
random from the same data.
"""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image
from scipy import fft, ndimage

SIDE = 96
FINEST, COARSEST = 0.7, 5.0  # standard deviations of the two Gaussians whose difference is seen
PHOTOS_A_COMPONENT, MOST_COMPONENTS = 26, 100
REACH = 3  # pixels
RANDOM_PAIRS = 4000
EXCEEDED_BY = 0.001  # of the random pairs


class FinerCheck:
    """Compares photos of one data set.

    Args:
        paths: Of all its photos, none of them planted.
    """

    def __init__(self, paths: list[pathlib.Path]) -> None:
        seen = np.stack([_detail(path).ravel() for path in paths])
        centred = seen - seen.mean(0)
        kept = min(MOST_COMPONENTS, len(paths) // PHOTOS_A_COMPONENT)
        if kept:
            _, vectors = np.linalg.eigh(centred @ centred.T)
            shared = centred.T @ vectors[:, -kept:]
            shared /= np.maximum(np.linalg.norm(shared, axis=0), 1e-9)
            centred -= centred @ shared @ shared.T
        centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
        self._photos = centred.reshape(-1, SIDE, SIDE)
        draw = np.random.default_rng(0).integers(0, len(paths), (2, RANDOM_PAIRS))
        chance = [self.correlation(a, b) for a, b in draw.T if a != b]
        self.threshold = float(np.quantile(chance, 1 - EXCEEDED_BY))

    def correlation(self, one: int, other: int) -> float:
        """Returns the best over positions and shifts, of two photos by their numbers."""
        photo = self._photos[one]
        quarters = [np.rot90(photo, number) for number in range(4)]
        views = np.stack(quarters + [view[:, ::-1] for view in quarters])
        products = np.conj(fft.rfft2(views)) * fft.rfft2(self._photos[other])
        found = np.roll(fft.irfft2(products, s=(SIDE, SIDE)), (REACH, REACH), (1, 2))
        return float(found[:, : 2 * REACH + 1, : 2 * REACH + 1].max())

    def confirms(self, one: int, other: int) -> bool:
        """Whether two photos, by their numbers, are one picture."""
        return self.correlation(one, other) > self.threshold


def _detail(path: pathlib.Path) -> np.ndarray:
    """Returns float32[SIDE, SIDE] of length 1, or zeros of a photo without any."""
    with Image.open(path) as image:
        grey = image.convert("RGBA") if image.mode in ("P", "LA") else image
        if grey.mode == "RGBA":
            grey = Image.alpha_composite(Image.new("RGBA", grey.size, "white"), grey)
        small = grey.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    levels = np.asarray(small).astype(np.float32)
    detail = ndimage.gaussian_filter(levels, FINEST) - ndimage.gaussian_filter(levels, COARSEST)
    detail -= detail.mean(1, keepdims=True)
    detail -= detail.mean(0, keepdims=True)
    window = np.hanning(SIDE).astype(np.float32) ** 0.3
    detail *= window[:, None] * window
    return detail / max(float(np.linalg.norm(detail)), 1e-6)
