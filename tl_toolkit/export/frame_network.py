"""What is written in another format than a SavedModel: a network from frames to probabilities, and its card.

A frame is an image as the network takes it: RGB, `image_size` pixels square, 0-255. No format but the SavedModel decodes
files, and none has an operation for our resampling, so their files begin with frames. `load_classifier` makes them by the
code that the SavedModel holds. Frames that were resized are no whole numbers, and only as float32 do they give the
SavedModel's answers.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import keras

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.export.saved_model_layout import THRESHOLDS


@dataclasses.dataclass(frozen=True)
class FrameNetwork:
    """A trained classifier as the writers of formats take it.

    Attributes:
        model: From float32[batch, height, width, 3] (RGB, 0-255) to logits, in float32.
        card: Plain JSON values; at least `class_names`, in the order of the logits, and `preprocessing`; of a network that
            gives any number of labels, `thresholds` too, by name.
    """

    model: keras.Model
    card: dict[str, Any]

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network was trained with."""
        return Preprocessing(**self.card["preprocessing"])

    @property
    def has_several_labels(self) -> bool:
        """Whether each of the probabilities is one of its own, by the sigmoid, and not a share of 1."""
        return THRESHOLDS in self.card

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(height, width, 3) of a frame."""
        return (self.preprocessing.image_size, self.preprocessing.image_size, 3)

    @property
    def metadata(self) -> dict[str, str]:
        """What every format's file says of itself: JSON texts by name.

        `card` is all that is known; `class_names`, `preprocessing`, `input` and, of several labels, `thresholds` are parts
        of it for who reads it by eye or from another language.
        """
        side = self.preprocessing.image_size
        scaled = (
            ""
            if self.preprocessing.value_range is None
            else ", and greys of 16 bits or floats scaled from value_range"
        )
        return {
            "card": json.dumps(self.card),
            "class_names": json.dumps(self.card["class_names"]),
            "preprocessing": json.dumps(self.card["preprocessing"]),
            **({THRESHOLDS: json.dumps(self.card[THRESHOLDS])} if self.has_several_labels else {}),
            "input": json.dumps(
                f"RGB pixels, 0-255, [batch, {side}, {side}, 3]: images already resized and cropped as "
                f"`preprocessing` says (image_size, crop_fraction, interpolation with antialiasing, resize{scaled}). Scale, "
                "mean and standard deviation are applied inside."
            ),
        }
