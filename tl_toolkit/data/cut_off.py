"""How much of photos that are not square a centre crop cuts off, by their headers alone."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from tl_toolkit.data.dataset import FileImages, Images
from tl_toolkit.data.other_formats import PixelError

MOST_LOST = 0.25  # of the longer side: a camera's 4:3 loses as much, and is not counted
SHARE = 0.1  # of the photos, from which on it is said
LOOKED_AT = 500  # photos, evenly over all


def note_on_cut_off(shorter: np.ndarray, longer: np.ndarray) -> str | None:
    """Returns what a user should know where a tenth of the photos or more lose over a quarter of their longer side.

    Args:
        shorter: Sides in pixels.
        longer: Of the same photos.
    """
    lost = 1 - shorter / np.maximum(longer, 1)
    wide = int((lost > MOST_LOST).sum())
    if not wide or wide < SHARE * len(lost):
        return None
    return (
        f"{wide} of {len(lost)} photos that were looked at lose more than a quarter of their longer side where they are cut "
        "to a square: resize='letterbox' (--resize letterbox) keeps all of it, for better or worse; train both ways and compare"
    )


def note_on_images(images: Images) -> str | None:
    """As `note_on_cut_off`, of photo files, of which 500 are looked at; None for other images."""
    if not isinstance(images, FileImages) or not len(images):
        return None
    chosen = np.unique(np.linspace(0, len(images) - 1, LOOKED_AT).astype(int))
    sides = [found for path in images.paths[chosen] if (found := _sides(path))]
    shorter, longer = np.sort(np.array(sides, np.int64).reshape(-1, 2)).T
    return note_on_cut_off(shorter, longer)


def _sides(path: str) -> tuple[int, int] | None:
    """Returns a photo's sides as they are stored; None where Pillow does not know its format."""
    with (
        contextlib.suppress(UnidentifiedImageError, *PixelError),
        warnings.catch_warnings(action="ignore"),
        Image.open(path) as opened,
    ):
        return opened.size
    return None
