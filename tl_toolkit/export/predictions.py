"""What a classifier says of an image. No TensorFlow."""

from __future__ import annotations

import dataclasses

from tl_toolkit.catalog.names import NO_LABEL


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a classifier says of one image.

    Attributes:
        class_name: The most probable class.
        score: Its probability.
        probabilities: Of every class, most probable first.
    """

    class_name: str
    score: float
    probabilities: dict[str, float]


@dataclasses.dataclass(frozen=True)
class LabelPrediction(Prediction):
    """What a classifier that gives any number of labels says of one image.

    `class_name` and `score` are of the most probable label, which the image need not be given.

    Attributes:
        labels: Those that the image is given, most probable first; there may be none.
        thresholds: By label, the probability from which on it is given.
    """

    labels: tuple[str, ...]
    thresholds: dict[str, float]


def answer_in_words(prediction: Prediction) -> str:
    """Returns the class that is answered, or the labels that are given; `"no label"` for none."""
    if isinstance(prediction, LabelPrediction):
        return ", ".join(prediction.labels) or NO_LABEL
    return prediction.class_name
