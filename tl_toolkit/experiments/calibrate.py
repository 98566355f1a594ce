"""Temperature scaling of a trained model: its last layer is divided by one number, and no answer changes."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from tl_toolkit.models.head import new_head
from tl_toolkit.report.calibration import fit_temperature

FEWEST_IMAGES = 200  # of which fewer say too little about how sure to be


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What a model's logits were divided by.

    Attributes:
        temperature: T; 1 where nothing was fitted.
        images: Those that it was fitted to; 0 where there were too few.
        kind: Which they were, such as `"validation images"`.
    """

    temperature: float = 1.0
    images: int = 0
    kind: str = ""

    def __str__(self) -> str:
        if not self.images:
            return f"none: it takes {FEWEST_IMAGES} images that were not learned from"
        return f"logits divided by {self.temperature:.3f}, fitted to {self.images} {self.kind}"


def calibrate(model: keras.Model, logits: np.ndarray, labels: np.ndarray, kind: str) -> Calibration:
    """Divides a model's logits by the temperature that fits given ones.

    Args:
        model: Its last dense layer is changed.
        logits: float[n, classes] of images that it did not learn from.
        labels: int64[n], or uint8[n, labels].
        kind: Which images they are, in words.
    """
    if len(labels) < FEWEST_IMAGES:
        return Calibration()
    temperature = fit_temperature(logits, labels)
    for variable in new_head(model).weights:
        variable.assign(variable / temperature)
    return Calibration(temperature, len(labels), kind)
