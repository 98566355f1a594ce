"""Augmentation presets by name."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from tl_toolkit.errors import unknown_name
from tl_toolkit.fields import OneOf


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What a view of a training image may be: a random window, turned, recoloured, with a hole, mixed.

    Attributes:
        area: Least and most area of the window, as a fraction of the image's.
        aspect_ratio: Least and most width over height of the window, relative to a square.
        shift: Most shift of the window's centre, as a fraction of the side. None: the window lies
            anywhere inside the image.
        mirror: Whether half of the views are mirrored left to right.
        resolution: Least resolution of a view, as a fraction of the final one; below 1, a
            view is made small and enlarged again, as a poorer image would be.
        flip: Whether half of the views are turned upside down.
        quarter_turns: Whether views are turned by 0, 90, 180 or 270 degrees, each as often.
        brightness: Most change of the brightness, as a fraction.
        contrast: Most change of the contrast, as a fraction.
        operations: How many of RandAugment's operations are applied one after the other (Cubuk et al. 2020, "N").
        magnitude: Of each operation, from 0, which changes nothing, to 10 ("M").
        erasing: Share of the views in which a rectangle is replaced by noise (Zhong et al. 2020).
        mixup: α of the Beta distribution by which two images are blended (Zhang et al. 2018); 0: not.
        cutmix: α of that by which one is pasted into another (Yun et al. 2019); 0: not. With both, half of the
            images are blended and half are pasted.
    """

    area: tuple[float, float]
    aspect_ratio: tuple[float, float]
    shift: float | None
    mirror: bool
    resolution: float = 1.0
    flip: bool = False
    quarter_turns: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    operations: int = 0
    magnitude: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def mixes(self) -> bool:
        """Whether a training example is made of two images."""
        return self.mixup > 0 or self.cutmix > 0

    def without_mixing(self) -> Augmentation:
        """Returns the same of single images."""
        return dataclasses.replace(self, mixup=0.0, cutmix=0.0)


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    # For photos of which nearly all matters, and for few epochs: most of the image, and its mirror image.
    "light": Augmentation(area=(0.7, 1.0), aspect_ratio=(0.9, 1.1), shift=None, mirror=True),
    # As Szegedy et al. 2015, section 6, crop, but with a least area of 0.35 where they have 0.08.
    "photo": Augmentation(area=(0.35, 1.0), aspect_ratio=(3 / 4, 4 / 3), shift=None, mirror=True),
    # For many epochs over few photos, where everything is trained. It needs more epochs than "photo".
    # RandAugment at half of its strength, mixing with the α of their papers; erasing half as often as in its
    # paper, as Touvron et al. 2021 ("DeiT") have it where images are mixed too.
    "strong": Augmentation(
        area=(0.2, 1.0),
        aspect_ratio=(3 / 4, 4 / 3),
        shift=None,
        mirror=True,
        operations=2,
        magnitude=5.0,
        erasing=0.25,
        mixup=0.2,
        cutmix=1.0,
    ),
    # For images that a mirror would make wrong: digits, text, instruments.
    "shift": Augmentation(area=(0.8, 1.25), aspect_ratio=(0.85, 1.18), shift=0.1, mirror=False),
    # For flat things seen from above, whole in the image: solar cells, tiles, slides.
    "surface": Augmentation((0.85, 1.15), (0.95, 1.05), shift=0.04, mirror=True, flip=True),
    # For images without an up: microscopes, satellites, cells. Light differs from one to the next.
    "overhead": Augmentation(
        area=(0.7, 1.0),
        aspect_ratio=(0.95, 1.05),
        shift=0.05,
        mirror=True,
        flip=True,
        quarter_turns=True,
        brightness=0.15,
        contrast=0.15,
    ),
    # For one object at any distance and sharpness.
    "zoom": Augmentation((0.45, 1.2), (0.8, 1.25), shift=0.08, mirror=False, resolution=0.25),
}


AugmentationName = Annotated[str, OneOf(tuple(AUGMENTATIONS))]


def augmentation_named(name: str) -> Augmentation | None:
    """Returns the preset, or raises `InputError` with the nearest right name."""
    if name not in AUGMENTATIONS:
        raise unknown_name("augmentation", name, AUGMENTATIONS)
    return AUGMENTATIONS[name]
