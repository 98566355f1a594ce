"""A served classifier: loaded from a SavedModel, asked with files, bytes or pixels."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.data.decode import check_image
from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.labels import NO_LABEL
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.data.seen_images import SEEN_IMAGES
from tl_toolkit.errors import InputError
from tl_toolkit.export.frame_endpoints import open_exported_file
from tl_toolkit.export.pretrained import build_pretrained, names_weights
from tl_toolkit.export.runtimes import OPENERS
from tl_toolkit.export.saved_model import CARD, SAVED_MODEL, THRESHOLDS
from tl_toolkit.files.manifest import check_files

Image = str | pathlib.Path | bytes | np.ndarray
BATCH_SIZE = 32
# What TensorFlow raises for a SavedModel that is not whole, and JSON for the card of one.
UNREADABLE = (
    tf.errors.OpError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)


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
        endpoints: Mapping[str, Callable],
        card: dict[str, Any],
        network: keras.Model | None = None,
        kept: Any = None,
    ) -> None:
        self.path = path
        self.card = card
        self.network = network
        self._endpoints = endpoints
        self._kept = kept  # a SavedModel's signatures alone would not hold its variables

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the model's outputs."""
        return tuple(self.card["class_names"])

    @property
    def thresholds(self) -> dict[str, float] | None:
        """Of a classifier that gives any number of labels, the probability from which on each is given; None of one class."""
        return self.card.get(THRESHOLDS)

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
        for image_batch in _batches(many):  # type: ignore[arg-type]
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
            answers = self._endpoints[name](images=tf.constant(np.stack(pixels)))
        else:
            contents = [
                contents_of(image, number)
                for number, image in enumerate(images, 1)
                if not isinstance(image, np.ndarray)
            ]
            try:
                answers = self._endpoints["serving_default"](image_bytes=tf.constant(contents))
            except tf.errors.OpError as error:
                raise _unreadable(images, contents) from error
        rows = zip(answers["classes"].numpy(), answers["scores"].numpy(), strict=True)
        predictions = [
            Prediction(classes[0].decode(), float(scores[0]), _by_name(classes, scores))
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
            for prediction, is_given in zip(predictions, answers["given"].numpy(), strict=True)
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
    if not folder.exists() and names_weights(str(path)):
        return Classifier(None, *build_pretrained(str(path)))
    if folder.suffix in OPENERS and folder.is_file():
        saved_model = folder.parent.parent / SAVED_MODEL
        endpoints, card = open_exported_file(folder)
        return Classifier(saved_model if saved_model.is_dir() else None, endpoints, card)
    if (folder / SAVED_MODEL).is_dir():
        folder = folder / SAVED_MODEL
    if not (folder / "saved_model.pb").is_file() or not (folder / CARD).is_file():
        raise InputError(
            f"{str(path)!r} is not an exported classifier. Expected a finished run's folder, the saved_model "
            "folder in it, an exported .onnx, .tflite or .xml file, a network such as resnet50, or a name that `tl-toolkit weights` lists."
        )
    check_files(folder, but=[SEEN_IMAGES.as_posix()])
    try:
        card = json.loads((folder / CARD).read_bytes())
        loaded = tf.saved_model.load(str(folder))
        return Classifier(folder, loaded.signatures, card, kept=loaded)
    except UNREADABLE as error:
        raise InputError(
            f"The SavedModel {str(folder)!r} cannot be read: {error}. Restore it from a copy, or train again."
        ) from error


def _batches(images: list[Image]) -> Iterable[list[Image]]:
    """Parts the images where their kind or shape changes, and every 32."""
    batch: list[Image] = []
    for image in images:
        if isinstance(image, np.ndarray):
            image = checked_pixels(image)
        if batch and (len(batch) == BATCH_SIZE or _kind(image) != _kind(batch[0])):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _kind(image: Image) -> Any:
    return (image.shape, image.dtype) if isinstance(image, np.ndarray) else None


def checked_pixels(image: np.ndarray) -> np.ndarray:
    """Returns pixels as the endpoints take them, uint8 or float32[height, width, 3].

    Raises:
        InputError: They are not RGB of 0-255.
    """
    if image.ndim != 3 or image.shape[-1] != 3:
        raise InputError(f"Pixels must be [height, width, 3], RGB. Received: {image.shape}")
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"Pixels must be uint8 or float, 0-255. Received: {image.dtype}")
    if image.size and not (image.min() >= 0 and image.max() <= 255):
        raise InputError(
            f"Float pixels must lie between 0 and 255. Received: {image.min():g} to {image.max():g}"
        )
    if image.size and 0 < image.max() <= 1:
        raise InputError(
            "Float pixels must be 0-255, and these lie between 0 and 1: multiply them by 255. A photo that is "
            "nearly black can be given as uint8."
        )
    return image.astype(np.float32)


def contents_of(image: str | pathlib.Path | bytes, number: int = 1) -> bytes:
    """Returns a file's contents as the SavedModel decodes them: another format's as a PNG file.

    Args:
        image: A path, or the contents.
        number: To name the image by, where it has no path.

    Raises:
        InputError: It cannot be read, or is no photo.
    """
    contents = image if isinstance(image, bytes) else _read(image)
    try:
        return decodable(contents)
    except InputError as error:
        raise InputError(f"The image {_name(image, number)} cannot be used: {error}.") from error


def _read(path: str | pathlib.Path) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read the image {str(path)!r}: {error.strerror}.") from error


def _name(image: Image, number: int) -> str:
    return f"number {number}" if isinstance(image, bytes) else repr(str(image))


def _unreadable(images: Sequence[Image], contents: Sequence[bytes]) -> InputError:
    for number, (image, content) in enumerate(zip(images, contents, strict=True), 1):
        try:
            check_image(content)
        except tf.errors.OpError:
            return InputError(f"The image {_name(image, number)} is damaged.")
    return InputError("An image could not be decoded.")


def _given(prediction: Prediction, is_given: np.ndarray) -> tuple[str, ...]:
    return tuple(n for n, one in zip(prediction.probabilities, is_given, strict=True) if one)


def _by_name(classes: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return {name.decode(): float(score) for name, score in zip(classes, scores, strict=True)}
