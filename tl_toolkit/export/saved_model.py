"""A trained classifier as a SavedModel that takes image files or raw pixels."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.decode import decode_image
from tl_toolkit.data.resize import resize_each_for_evaluation
from tl_toolkit.export.endpoints import make_endpoints
from tl_toolkit.export.fresh_process import FreshProcess
from tl_toolkit.export.saved_model_layout import CARD, TOLERANCES
from tl_toolkit.files.atomic import write_json
from tl_toolkit.files.manifest import check_file

CHECKED_IMAGES = 8

LogitsOf = Callable[[np.ndarray], np.ndarray]


def export_saved_model(
    engine: Callable,
    folder: pathlib.Path,
    preprocessing: Preprocessing,
    class_names: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> None:
    """Writes a SavedModel with decoding, resizing, preprocessing, softmax or sigmoid, and labels inside.

    Its endpoints are those of `make_endpoints`; its weights are constants.

    Args:
        engine: From `inference_engine`: images (float32, 0-255) to logits.
        folder: Where to; must not exist.
        preprocessing: Gives the image size and the crop.
        class_names: In the order of the logits.
        thresholds: Of several labels an image, from which probability on each is given; None: it has one class.
    """
    endpoints = make_endpoints(engine, preprocessing, class_names, thresholds)
    signatures = {
        name: tf.function(function, input_signature=[spec], autograph=False).get_concrete_function()
        for name, (function, spec) in endpoints.items()
    }
    tf.saved_model.save(tf.Module(), str(folder), signatures)
    (folder / CARD).parent.mkdir()


def write_card(folder: pathlib.Path, class_names: Sequence[str], card: dict[str, Any]) -> None:
    """Writes facts about a SavedModel, plain JSON values, into its `assets.extra/`."""
    write_json(folder / CARD, {**card, "class_names": list(class_names)})


def class_names_on_card(folder: pathlib.Path) -> tuple[str, ...] | None:
    """Returns the classes of a SavedModel in the order of its logits; None where there is no card.

    Raises:
        InputError: The card is not as it was written.
    """
    card = folder / CARD
    if not card.is_file():
        return None
    check_file(card, folder)
    return tuple(json.loads(card.read_bytes())["class_names"])


class SavedModelCheck:
    """Compares a SavedModel, in another process with TensorFlow alone, with the model that it was made from.

    The process is asked at once; `result` waits for it.

    Args:
        process: Loads the SavedModel.
        scratch: A folder for what the process is given and answers; must not exist.
        folder: The SavedModel.
        split: Images to compare on; the first 8 are used.
        logits_of: The model in float32: from images, float32[n, size, size, 3] of 0-255, to logits.
        preprocessing: Gives the image size and the crop.
        precision: What the SavedModel computes in.
        several: Whether an image may have several labels, each with a probability of its own.
    """

    def __init__(
        self,
        process: FreshProcess,
        scratch: pathlib.Path,
        folder: pathlib.Path,
        split: Split,
        logits_of: LogitsOf,
        preprocessing: Preprocessing,
        precision: str = "float32",
        several: bool = False,
    ) -> None:
        self._several = several
        self._process, self._folder, self._precision = process, folder, precision
        self.images = min(len(split), CHECKED_IMAGES)
        encoded = [split.images.encoded(index) for index in range(self.images)]
        pixels = [decode_image(tf.constant(contents)) for contents in encoded]
        scratch.mkdir(parents=True)
        self._answered = scratch / "answered.npz"
        np.savez(
            scratch / "given.npz",
            encoded=np.frombuffer(b"".join(encoded), np.uint8),
            encoded_sizes=[len(e) for e in encoded],
            **{f"pixels_{i}": image.numpy() for i, image in enumerate(pixels)},
        )
        process.ask(folder, scratch / "given.npz", self._answered)
        of_files = resize_each_for_evaluation(encoded, preprocessing).numpy()
        of_pixels = resize_each_for_evaluation(pixels, preprocessing).numpy()
        if np.array_equal(of_pixels, of_files):
            expected_of_files = expected_of_pixels = self._probabilities(logits_of, of_files)
        else:  # a large file's view is decoded coarsely
            both = self._probabilities(logits_of, np.concatenate([of_files, of_pixels]))
            expected_of_files, expected_of_pixels = np.split(both, 2)
        self._expected = {
            "serving_default": expected_of_files,
            "serve_images": expected_of_pixels,
            "serve_float_images": expected_of_pixels,
        }

    def result(self) -> float:
        """Returns the largest difference of a probability at any endpoint.

        Raises:
            RuntimeError: The SavedModel does not load, or a difference is over 1e-4 (float32) or 0.1 (bfloat16).
        """
        self._process.wait()
        with np.load(self._answered) as answers:
            difference = max(
                float(np.abs(answers[endpoint] - expected).max())
                for endpoint, expected in self._expected.items()
            )
        if not difference <= TOLERANCES[self._precision]:
            raise RuntimeError(
                f"The SavedModel {str(self._folder)!r} differs from the trained model by {difference:.2g} in a "
                f"probability; in {self._precision} at most {TOLERANCES[self._precision]} is allowed."
            )
        return difference

    def _probabilities(self, logits_of: LogitsOf, images: np.ndarray) -> np.ndarray:
        # A GPU's shorter float32 would round the folded kernels otherwise than these.
        allowed = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            logits = logits_of(images)
            return (tf.nn.sigmoid(logits) if self._several else tf.nn.softmax(logits)).numpy()
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(allowed)
