"""A trained classifier as a SavedModel that takes image files or raw pixels."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.decode import decode_image
from tl_toolkit.export.endpoints import make_endpoints

CARD = pathlib.PurePath("assets.extra", "model_card.json")
RELOAD_SCRIPT = pathlib.Path(__file__).with_name("reload_check.py")
TOLERANCE = 1e-4  # of probabilities, in float32
CHECKED_IMAGES = 32


def export_saved_model(
    model: keras.Model,
    folder: pathlib.Path,
    preprocessing: Preprocessing,
    class_names: Sequence[str],
    card: dict[str, Any],
) -> None:
    """Writes a SavedModel with decoding, resizing, preprocessing, softmax and labels inside.

    Its endpoints are those of `make_endpoints`.

    Args:
        model: Images (float32, 0-255) to logits.
        folder: Where to; must not exist.
        preprocessing: Gives the image size and the crop.
        class_names: In the order of the logits.
        card: What to know of the model, plain JSON values; lies beside it as `assets.extra/`.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, (function, spec) in make_endpoints(model, preprocessing, class_names).items():
        archive.add_endpoint(name, function, input_signature=[spec])
    archive.write_out(str(folder), verbose=False)
    (folder / CARD).parent.mkdir()
    (folder / CARD).write_text(
        json.dumps({**card, "class_names": list(class_names)}, indent=2) + "\n"
    )


def check_saved_model(
    folder: pathlib.Path, split: Split, probabilities: np.ndarray
) -> tuple[int, float]:
    """Loads a SavedModel in a fresh process with TensorFlow alone and compares it with the model.

    Args:
        folder: The SavedModel.
        split: Images to compare on; the first 32 are used.
        probabilities: float32[len(split), classes], the model's.

    Returns:
        How many images were compared, and the largest difference of a probability at any endpoint.

    Raises:
        RuntimeError: It does not load, or a difference is over 1e-4.
    """
    count = min(len(split), CHECKED_IMAGES)
    encoded = [split.images.encoded(index) for index in range(count)]
    arrays = {f"pixels_{i}": decode_image(tf.constant(e)).numpy() for i, e in enumerate(encoded)}
    with tempfile.TemporaryDirectory() as scratch:
        given, answered = pathlib.Path(scratch, "given.npz"), pathlib.Path(scratch, "answered.npz")
        np.savez(
            given,
            encoded=np.frombuffer(b"".join(encoded), np.uint8),
            encoded_sizes=[len(e) for e in encoded],
            **arrays,
        )
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
        with np.load(answered) as answers:
            difference = max(
                float(np.abs(answers[endpoint] - probabilities[:count]).max())
                for endpoint in answers.files
            )
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"The SavedModel {str(folder)!r} differs from the trained model by {difference:.2g} in a "
            f"probability; at most {TOLERANCE} is allowed."
        )
    return count, difference
