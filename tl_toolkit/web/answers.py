"""What the page shows of a photo: classes, what speaks for the answer, and photos like it."""

from __future__ import annotations

import base64
import io
import threading
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tl_toolkit.data.decode import decode_image
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.explain import Explainer
from tl_toolkit.experiments.nearest_photos import LearnedPhotos
from tl_toolkit.export.asked_images import contents_of
from tl_toolkit.export.classifier import Classifier
from tl_toolkit.export.predictions import answer_in_words
from tl_toolkit.report.heat_maps import small_overlay
from tl_toolkit.web.upload import check_size

SHOWN_SIDE, NEIGHBOUR_SIDE = 480, 128  # pixels of the longer side
CLASSES_SHOWN, NEIGHBOURS = 10, 5


class Answerer:
    """Answers one photo at a time.

    Args:
        classifier: Gives the probabilities.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._one_at_a_time = threading.Lock()
        self._explainer: Explainer | None = None
        self.why_not_explained = ""
        try:
            self._explainer = Explainer(classifier)
        except InputError as error:
            self.why_not_explained = str(error)
        self.learned: LearnedPhotos | None = None  # once they have been looked at

    def answer(self, contents: bytes) -> dict[str, Any]:
        """Returns plain values for the page.

        Args:
            contents: Of the file.

        Raises:
            InputError: It is no photo.
        """
        check_size(contents)
        contents = contents_of(contents, value_range=self._classifier.value_range)
        with self._one_at_a_time:
            (prediction,) = self._classifier.predict([contents])
            ranked = list(prediction.probabilities.items())[:CLASSES_SHOWN]
            answer: dict[str, Any] = {
                "answer": answer_in_words(prediction),
                "classes": [{"name": name, "probability": p} for name, p in ranked],
                "others": len(prediction.probabilities) - len(ranked),
            }
            if self._classifier.thresholds is not None:  # the heat map is of one label
                answer |= {"several": True, "explained": prediction.class_name}
            pixels = decode_image(tf.constant(contents)).numpy()
            answer["photo"] = _picture(pixels, SHOWN_SIDE)
            if self._explainer is not None:
                heat_map = self._explainer.explain(contents, prediction.class_name)
                answer["heat_map"] = _picture(pixels, SHOWN_SIDE, heat_map)
            if self.learned is not None:
                answer["neighbours"] = [
                    {
                        "class_name": found.class_name,
                        "similarity": found.similarity,
                        "photo": _picture(self._learned_pixels(found.position), NEIGHBOUR_SIDE),
                    }
                    for found in self.learned.nearest(contents, NEIGHBOURS)
                ]
        return answer

    def _learned_pixels(self, position: int) -> np.ndarray:
        if self.learned is None:
            raise RuntimeError("No photos have been looked at.")
        return decode_image(tf.constant(self.learned.photos.images.encoded(position))).numpy()


def _picture(pixels: np.ndarray, side: int, heat_map: np.ndarray | None = None) -> str:
    """Returns a small JPEG as a `data:` address, with what is bright in a heat map drawn over it."""
    small = Image.fromarray(pixels)
    small.thumbnail((side, side))
    if heat_map is not None:
        small = Image.fromarray(small_overlay(pixels, heat_map, side))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
