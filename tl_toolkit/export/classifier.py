"""A served classifier: loaded from a SavedModel or an exported file, asked with files, bytes or pixels.

TensorFlow is imported where it answers, or decodes what is no JPEG or PNG.
"""

from __future__ import annotations

import importlib
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tl_toolkit.catalog import ValueRange, as_value_range
from tl_toolkit.data.file_names import user_path
from tl_toolkit.errors import InputError
from tl_toolkit.export.asked_images import (
    Endpoint,
    Image,
    NotDecodedError,
    batches_of,
    contents_of,
    name_of,
)
from tl_toolkit.export.predictions import LabelPrediction, Prediction
from tl_toolkit.export.runtimes import OPENERS
from tl_toolkit.export.saved_model_layout import CARD, SAVED_MODEL, THRESHOLDS

if TYPE_CHECKING:
    import keras

REQUIRES_TENSORFLOW = "tl_toolkit.models"  # refuses another Keras backend, in our words


class Classifier:
    """Predicts classes of images. Made by `load_classifier`.

    Attributes:
        path: The SavedModel's folder, of an exported file that of the run that it lies in; None for weights with their
            original head, and files that were copied elsewhere.
        card: Facts about the model: `class_names`, `facts`, `notes`, and of a run `recipe`,
            `preprocessing` and `test` too; of several labels `thresholds`.
        network: The network that it was made from, where it was made here; None where it was loaded.

    Examples:
        >>> classifier = tl.load_classifier("my_run")
        >>> classifier.class_names
        ('cat', 'dog', 'horse')
        >>> pixels = np.zeros((40, 60, 3), np.uint8)
        >>> [answer.class_name for answer in classifier.predict(["new_photo.jpg", pixels])][0]
        'cat'
        >>> classifier.predict_probabilities(["new_photo.jpg"]).shape
        (1, 3)
    """

    def __init__(
        self,
        path: pathlib.Path | None,
        endpoints: Mapping[str, Endpoint],
        card: dict[str, Any],
        network: keras.Model | None = None,
    ) -> None:
        self.path = path
        self.card = card
        self.network = network
        self._endpoints = endpoints

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the model's outputs."""
        return tuple(self.card["class_names"])

    @property
    def thresholds(self) -> dict[str, float] | None:
        """Of a classifier that gives any number of labels, the probability from which on each is given; None of one class."""
        return self.card.get(THRESHOLDS)

    @property
    def value_range(self) -> ValueRange | None:
        """Values of 16-bit and float greys that become black and white, as in training; None: what these can hold."""
        return as_value_range(self.card.get("preprocessing", {}).get("value_range"))

    def predict(self, images: Image | Iterable[Image]) -> list[Prediction]:
        """Classifies images.

        Args:
            images: One or many of: a path, a file's contents as bytes, or pixels as uint8 or
                float32[height, width, 3], RGB, 0-255. A uint8 or float32 array of rank 4 is a batch.

        Returns:
            One prediction an image, in order; of a classifier that gives any number of labels, a `LabelPrediction`.

        Raises:
            InputError: A file cannot be read or is not an image, or pixels are not 0-255; the message names it.
        """
        is_one = isinstance(images, (str, pathlib.Path, bytes)) or getattr(images, "ndim", 0) == 3
        many = [images] if is_one else list(images)  # type: ignore[arg-type]
        predictions: list[Prediction] = []
        for image_batch in batches_of(many):  # type: ignore[arg-type]
            predictions += self._predict_batch(image_batch)
        return predictions

    def predict_probabilities(self, images: Iterable[Image]) -> np.ndarray:
        """float32[n, classes] probabilities, in the order of `class_names`."""
        predictions = self.predict(images)
        return np.array(
            [[p.probabilities[name] for name in self.class_names] for p in predictions], np.float32
        )

    def _predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        pixels = [image for image in images if isinstance(image, np.ndarray)]
        if pixels:
            name = "serve_images" if pixels[0].dtype == np.uint8 else "serve_float_images"
            answers = self._endpoints[name](images=np.stack(pixels))
        else:
            value_range = self.value_range
            contents = [
                contents_of(image, number, value_range)
                for number, image in enumerate(images, 1)
                if not isinstance(image, np.ndarray)
            ]
            try:
                answers = self._endpoints["serving_default"](image_bytes=contents)
            except NotDecodedError as error:
                raise _damaged(images, error.position) from error
        rows = zip(answers["classes"], answers["scores"], strict=True)
        predictions = [
            Prediction(str(classes[0]), float(scores[0]), _by_name(classes, scores))
            for classes, scores in rows
        ]
        if self.thresholds is None:
            return predictions
        return [
            LabelPrediction(
                **vars(prediction),
                labels=_given(prediction, is_given),
                thresholds=dict(self.thresholds),
            )
            for prediction, is_given in zip(predictions, answers["given"], strict=True)
        ]


def load_classifier(path: str | pathlib.Path) -> Classifier:
    """Loads a classifier that `run` exported, or weights with the head that they were published with.

    Args:
        path: A run's folder, or the SavedModel in it; or a file that `export_run` wrote, .onnx, .tflite or .xml, which
            its own runtime then answers with; or `"resnet18"` to `"resnet152"` for ImageNet's
            classes with the best available weights, or the name of weights.

    Raises:
        InputError: There is none, it is damaged, or the weights classify nothing.

    Examples:
        >>> classifier = tl.load_classifier("my_run")
        >>> classifier.predict("new_photo.jpg")[0].class_name
        'cat'
    """
    folder = user_path(os.fspath(path))
    if folder.suffix in OPENERS and folder.is_file():
        from tl_toolkit.export.frame_endpoints import open_exported_file

        saved_model = folder.parent.parent / SAVED_MODEL
        endpoints, card = open_exported_file(folder)
        return Classifier(saved_model if saved_model.is_dir() else None, endpoints, card)
    if not folder.exists():
        importlib.import_module(REQUIRES_TENSORFLOW)
        from tl_toolkit.export.pretrained import build_pretrained, names_weights

        if names_weights(str(path)):
            return Classifier(None, *build_pretrained(str(path)))
    if (folder / SAVED_MODEL).is_dir():
        folder = folder / SAVED_MODEL
    if not (folder / "saved_model.pb").is_file() or not (folder / CARD).is_file():
        raise InputError(
            f"{str(path)!r} is not an exported classifier. Expected a finished run's folder, the saved_model "
            "folder in it, an exported .onnx, .tflite or .xml file, a network such as resnet50, or a name that `tl-toolkit weights` lists."
        )
    importlib.import_module(REQUIRES_TENSORFLOW)
    from tl_toolkit.export.open_saved_model import open_saved_model

    return Classifier(folder, *open_saved_model(folder))


def _damaged(images: Sequence[Image], position: int | None) -> InputError:
    if position is None:
        return InputError("An image could not be decoded.")
    return InputError(f"The image {name_of(images[position], position + 1)} is damaged.")


def _given(prediction: Prediction, is_given: np.ndarray) -> tuple[str, ...]:
    return tuple(n for n, one in zip(prediction.probabilities, is_given, strict=True) if one)


def _by_name(classes: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return {str(name): float(score) for name, score in zip(classes, scores, strict=True)}
