"""An exported file as the endpoints of a SavedModel: our decoding and resizing, then the runtime of its format."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.resize import resize_files_for_evaluation, resize_pixels_for_evaluation
from tl_toolkit.errors import InputError
from tl_toolkit.export.frame_network import missing_package
from tl_toolkit.export.runtimes import OPENERS, Answer
from tl_toolkit.files.manifest import MANIFEST, check_file

EXTRAS = {".onnx": "onnx", ".tflite": "litert", ".xml": "openvino"}


def open_exported_file(path: pathlib.Path) -> tuple[dict[str, Callable], dict]:
    """Opens an .onnx, .tflite or .xml file that this toolkit exported.

    Returns:
        Its endpoints, which take and give what those of the SavedModel do, and its card.

    Raises:
        InputError: It is damaged or not of this toolkit, or its runtime is not installed.
    """
    run = path.parent.parent
    for file in (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,):
        if (run / MANIFEST).is_file():
            check_file(file, run)
    try:
        answer, card = OPENERS[path.suffix](str(path))
        preprocessing = Preprocessing(**card["preprocessing"])
        return endpoints_of_frames(answer, preprocessing, card["class_names"]), card
    except ImportError as error:
        raise missing_package(EXTRAS[path.suffix], error) from error
    except Exception as error:  # each runtime has errors of its own
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise InputError(
            f"{str(path)!r} cannot be read: {reason}. Expected a file that `tl-toolkit export` wrote."
        ) from error


def endpoints_of_frames(
    answer: Answer, preprocessing: Preprocessing, class_names: Sequence[str]
) -> dict[str, Callable]:
    """Returns functions that take and give what those of `make_endpoints` do, by what answers frames."""
    names = tf.constant(list(class_names))
    one_at_a_time = threading.Lock()  # LiteRT and OpenVINO answer in memory of their own

    def answer_all(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        with one_at_a_time:
            probabilities = np.array(answer(frames.numpy()), np.float32)
        scores, order = tf.math.top_k(probabilities, k=len(class_names))
        return {
            "classes": tf.gather(names, order),
            "scores": scores,
            "probabilities": tf.constant(probabilities),
        }

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer_all(resize_files_for_evaluation(image_bytes, preprocessing))

    def serve_pixels(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer_all(resize_pixels_for_evaluation(images, preprocessing))

    return {
        "serving_default": serve_bytes,
        "serve_images": serve_pixels,
        "serve_float_images": serve_pixels,
    }
