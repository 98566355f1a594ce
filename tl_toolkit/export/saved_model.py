"""A trained classifier as a SavedModel that takes image files or raw pixels."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.decode import decode_image
from tl_toolkit.data.resize import decode_and_resize, resize_for_evaluation
from tl_toolkit.export.endpoints import make_endpoints
from tl_toolkit.models.fold import copy_in

SAVED_MODEL = "saved_model"  # folder in a run's
CARD = pathlib.PurePath("assets.extra", "model_card.json")
RELOAD_SCRIPT = pathlib.Path(__file__).with_name("reload_check.py")
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}  # of probabilities, by the served precision
CHECKED_IMAGES = 32


def export_saved_model(
    engine: Callable,
    folder: pathlib.Path,
    preprocessing: Preprocessing,
    class_names: Sequence[str],
    card: dict[str, Any],
) -> None:
    """Writes a SavedModel with decoding, resizing, preprocessing, softmax and labels inside.

    Its endpoints are those of `make_endpoints`; its weights are constants.

    Args:
        engine: From `inference_engine`: images (float32, 0-255) to logits.
        folder: Where to; must not exist.
        preprocessing: Gives the image size and the crop.
        class_names: In the order of the logits.
        card: Facts about the model, plain JSON values; stored with it in `assets.extra/`.
    """
    signatures = {
        name: tf.function(function, input_signature=[spec]).get_concrete_function()
        for name, (function, spec) in make_endpoints(engine, preprocessing, class_names).items()
    }
    tf.saved_model.save(tf.Module(), str(folder), signatures)
    (folder / CARD).parent.mkdir()
    (folder / CARD).write_text(
        json.dumps({**card, "class_names": list(class_names)}, indent=2) + "\n"
    )


def check_saved_model(
    folder: pathlib.Path,
    split: Split,
    model: keras.Model,
    preprocessing: Preprocessing,
    precision: str = "float32",
) -> tuple[int, float]:
    """Loads a SavedModel in a fresh process with TensorFlow alone and compares it with the model.

    Args:
        folder: The SavedModel.
        split: Images to compare on; the first 32 are used.
        model: What it was made from; computed in float32.
        preprocessing: Gives the image size and the crop.
        precision: What the SavedModel computes in.

    Returns:
        How many images were compared, and the largest difference of a probability at any endpoint.

    Raises:
        RuntimeError: It does not load, or a difference is over 1e-4 (float32) or 0.1 (bfloat16).
    """
    count = min(len(split), CHECKED_IMAGES)
    encoded = [split.images.encoded(index) for index in range(count)]
    pixels = [decode_image(tf.constant(contents)) for contents in encoded]
    arrays = {f"pixels_{i}": image.numpy() for i, image in enumerate(pixels)}
    # A large file's view is decoded coarsely, and that of its pixels is not: two references.
    of_files = [decode_and_resize(tf.constant(contents), preprocessing) for contents in encoded]
    of_pixels = [resize_for_evaluation(image, preprocessing) for image in pixels]
    expected_of_pixels = _probabilities(model, of_pixels)
    expected = {
        "serving_default": _probabilities(model, of_files),
        "serve_images": expected_of_pixels,
        "serve_float_images": expected_of_pixels,
    }
    with tempfile.TemporaryDirectory() as scratch:
        given, answered = pathlib.Path(scratch, "given.npz"), pathlib.Path(scratch, "answered.npz")
        np.savez(
            given,
            encoded=np.frombuffer(b"".join(encoded), np.uint8),
            encoded_sizes=[len(e) for e in encoded],
            **arrays,
        )
        _answer_in_a_fresh_process(folder, given, answered)
        with np.load(answered) as answers:
            difference = max(
                float(np.abs(answers[endpoint] - expected[endpoint]).max()) for endpoint in expected
            )
    if not difference <= TOLERANCES[precision]:
        raise RuntimeError(
            f"The SavedModel {str(folder)!r} differs from the trained model by {difference:.2g} in a "
            f"probability; in {precision} at most {TOLERANCES[precision]} is allowed."
        )
    return count, difference


def _answer_in_a_fresh_process(
    folder: pathlib.Path, given: pathlib.Path, answered: pathlib.Path
) -> None:
    process = subprocess.run(
        [sys.executable, "-I", str(RELOAD_SCRIPT), str(folder), str(given), str(answered)],
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(
            f"The SavedModel {str(folder)!r} does not load in a fresh process:\n{process.stderr[-2000:]}"
        )


def _probabilities(model: keras.Model, images: Sequence[tf.Tensor]) -> np.ndarray:
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        model = copy_in(model, "float32")
    # A GPU's shorter float32 would round the folded kernels otherwise than these.
    allowed = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        return tf.nn.softmax(model(tf.stack(images), training=False)).numpy()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(allowed)
