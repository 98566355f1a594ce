"""What in a photo speaks for a classifier's answer."""

from __future__ import annotations

import pathlib

import keras
import numpy as np
import tensorflow as tf
from PIL import Image as PillowImage

from tl_toolkit.data.lazy_image import EncodedLazyImage
from tl_toolkit.data.resize import (
    evaluation_window,
    resize_each_for_evaluation,
)
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.export.asked_images import Image, checked_pixels, contents_of
from tl_toolkit.export.classifier import Classifier
from tl_toolkit.models.deep_graph import load_model
from tl_toolkit.report.heat_maps import heat_maps
from tl_toolkit.weights.run_folder import MODEL_FILE


def explain(classifier: Classifier, image: Image, class_name: str | None = None) -> np.ndarray:
    """Returns which places of a photo speak for a class.

    The heads that this toolkit trains are linear in averages and maxima over places, so that a logit is a sum over
    places: a class activation map (Zhou et al. 2016), exact but for its interpolation to the photo's pixels.

    Args:
        classifier: From `load_classifier`: a finished run, or weights with their original head.
        image: As `Classifier.predict` takes one.
        class_name: The class to speak for. Default: the one that the classifier answers, of several labels the most
            probable one.

    Returns:
        float32[height, width] of the upright photo; positive where it speaks for the class, compared with the mean over
        all classes (of a classifier that gives any number of labels, with none), and negative where it speaks against it. The largest magnitude is 1. What the classifier does not
        see, at the edges of a photo that is not square, is 0.

    Raises:
        InputError: The image cannot be read, the class is unknown, or the classifier is a SavedModel without its run.

    Examples:
        >>> heat = tl.explain(tl.load_classifier("my_run"), "new_photo.jpg")
        >>> heat.shape  # as the photo
        (36, 48)
    """
    return Explainer(classifier).explain(image, class_name)


class Explainer:
    """As `explain`, for several photos.

    Raises:
        InputError: The classifier is a SavedModel without its run.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._model = _network_of(classifier)
        self._preprocessing = self._model.get_layer("preprocessing").record

    def explain(self, image: Image, class_name: str | None = None) -> np.ndarray:
        """Returns what `explain` does."""
        names = self._classifier.class_names
        if class_name is None:
            (answer,) = self._classifier.predict([image])
            class_name = answer.class_name
        if class_name not in names:
            raise unknown_name("class", class_name, names)
        height_and_width, seen = self._look(image)
        several = self._classifier.thresholds is not None
        label = names.index(class_name)
        (heat_map,) = heat_maps(self._model, seen.numpy(), [label], several=several)
        return self._over_the_photo(heat_map, *height_and_width)

    def _look(self, image: Image) -> tuple[tuple[int, int], tf.Tensor]:
        """Returns the upright photo's height and width, and what the network sees of it."""
        if isinstance(image, np.ndarray):
            pixels = checked_pixels(image)
            return image.shape[:2], resize_each_for_evaluation([pixels], self._preprocessing)
        contents = tf.constant(contents_of(image, value_range=self._preprocessing.value_range))
        height, width = (int(side) for side in EncodedLazyImage(contents).sides())
        return (height, width), resize_each_for_evaluation([contents], self._preprocessing)

    def _over_the_photo(self, heat_map: np.ndarray, height: int, width: int) -> np.ndarray:
        window = evaluation_window(
            tf.constant(height, tf.float32), tf.constant(width, tf.float32), self._preprocessing
        )
        top, left, tall, wide = (round(float(side)) for side in window)
        scaled = heat_map / max(float(np.abs(heat_map).max()), np.finfo(np.float32).tiny)
        resized = PillowImage.fromarray(scaled.astype(np.float32)).resize(
            (max(wide, 1), max(tall, 1)), PillowImage.Resampling.BILINEAR
        )
        canvas = PillowImage.new("F", (width, height))
        canvas.paste(resized, (left, top))
        return np.array(canvas)


def _network_of(classifier: Classifier) -> keras.Model:
    if classifier.network is not None:
        return classifier.network
    folder = classifier.path
    file = pathlib.Path() if folder is None else folder.parent / MODEL_FILE
    if folder is None or not file.is_file():
        raise InputError(
            f"A SavedModel alone cannot be explained: {str(folder)!r} has no {MODEL_FILE} beside it. Expected a finished "
            "run's folder."
        )
    return load_model(file)
