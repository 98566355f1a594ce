"""Augmentation presets by name."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from tl_toolkit.errors import unknown_name
from tl_toolkit.fields import OneOf


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A random window of the image, and whether it may be mirrored.

    Attributes:
        area: Least and most area of the window, as a fraction of the image's.
        aspect_ratio: Least and most width over height of the window, relative to a square.
        shift: Most shift of the window's centre, as a fraction of the side. None: the window lies
            anywhere inside the image.
        mirror: Whether half of the views are mirrored left to right.
        resolution: Least resolution of a view, as a fraction of the final one; below 1, a
            view is made small and enlarged again, as a poorer image would be.
        flip: Whether half of the views are turned upside down.
    """

    area: tuple[float, float]
    aspect_ratio: tuple[float, float]
    shift: float | None
    mirror: bool
    resolution: float = 1.0
    flip: bool = False


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    # As Szegedy et al. 2015, section 6, crop, but with a least area of 0.35 where they have 0.08.
    "photo": Augmentation(area=(0.35, 1.0), aspect_ratio=(3 / 4, 4 / 3), shift=None, mirror=True),
    # For images that a mirror would make wrong: digits, text, instruments.
    "shift": Augmentation(area=(0.8, 1.25), aspect_ratio=(0.85, 1.18), shift=0.1, mirror=False),
    # For flat things seen from above, whole in the image: solar cells, tiles, slides.
    "surface": Augmentation((0.85, 1.15), (0.95, 1.05), shift=0.04, mirror=True, flip=True),
    # For one object at any distance and sharpness.
    "zoom": Augmentation((0.45, 1.2), (0.8, 1.25), shift=0.08, mirror=False, resolution=0.25),
}


AugmentationName = Annotated[str, OneOf(tuple(AUGMENTATIONS))]


def augmentation_named(name: str) -> Augmentation | None:
    """Returns the preset, or raises `InputError` with the nearest right name."""
    if name not in AUGMENTATIONS:
        raise unknown_name("augmentation", name, AUGMENTATIONS)
    return AUGMENTATIONS[name]
