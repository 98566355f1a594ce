"""`digits`: 1,797 handwritten digits of 8x8 pixels, shipped with scikit-learn."""

from __future__ import annotations

import numpy as np

from tl_toolkit.data.dataset import ArrayImages, ImageSource, Split


def load_digits() -> ImageSource:
    """Returns the UCI test set of optical digits, grey levels 0-16 scaled to 0-255, in RGB.

    Reference: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, doi:10.24432/C50P49.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    return ImageSource(
        class_names=tuple(str(n) for n in range(10)),
        train=Split.of(ArrayImages(grey_to_rgb(digits.images * (255 / 16))), digits.target),
        licence="CC BY 4.0",
        augmentation="shift",
    )


def grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    """[n, height, width], 0-255, to uint8[n, height, width, 3]."""
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=-1)
