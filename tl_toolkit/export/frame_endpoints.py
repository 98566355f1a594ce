"""An exported file as the endpoints of a SavedModel: our decoding and resizing, then the runtime of its format.

TensorFlow is imported for files that only it decodes as the SavedModel does.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import threading
from collections.abc import Sequence

import numpy as np

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.numpy_frames import frame_of_file, frame_of_pixels
from tl_toolkit.errors import InputError, missing_package
from tl_toolkit.export.asked_images import Endpoint
from tl_toolkit.export.runtimes import OPENERS, Answer
from tl_toolkit.export.saved_model_layout import THRESHOLDS
from tl_toolkit.files.manifest import MANIFEST, check_file

EXTRAS = {".onnx": "onnx", ".tflite": "litert", ".xml": "openvino"}


def open_exported_file(path: pathlib.Path) -> tuple[dict[str, Endpoint], dict]:
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
        thresholds = card.get(THRESHOLDS)
        least = None if thresholds is None else [thresholds[name] for name in card["class_names"]]
        return endpoints_of_frames(answer, preprocessing, card["class_names"], least), card
    except ImportError as error:
        raise missing_package(EXTRAS[path.suffix], error) from error
    except Exception as error:  # each runtime has errors of its own
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise InputError(
            f"{str(path)!r} cannot be read: {reason}. Expected a file that `tl-toolkit export` wrote."
        ) from error


def endpoints_of_frames(
    answer: Answer,
    preprocessing: Preprocessing,
    class_names: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> dict[str, Endpoint]:
    """Returns endpoints that take and give what those of a SavedModel do, by what answers frames.

    With `thresholds` (of several labels, in the order of `class_names`) there is `given` too, as in `make_endpoints`.
    """
    names = np.array(class_names)
    least = None if thresholds is None else np.array(thresholds, np.float32)
    one_at_a_time = threading.Lock()  # LiteRT and OpenVINO answer in memory of their own

    def answer_all(frames: np.ndarray) -> dict[str, np.ndarray]:
        with one_at_a_time:
            probabilities = np.array(answer(frames), np.float32)
        order = np.argsort(-probabilities, axis=-1, kind="stable")
        scores = np.take_along_axis(probabilities, order, -1)
        given = {} if least is None else {"given": scores >= least[order]}
        return {"classes": names[order], "scores": scores, "probabilities": probabilities, **given}

    def serve_bytes(image_bytes: Sequence[bytes]) -> dict[str, np.ndarray]:
        return answer_all(frames_of_files(image_bytes, preprocessing))

    def serve_pixels(images: np.ndarray) -> dict[str, np.ndarray]:
        return answer_all(np.stack([frame_of_pixels(image, preprocessing) for image in images]))

    return {
        "serving_default": serve_bytes,
        "serve_images": serve_pixels,
        "serve_float_images": serve_pixels,
    }


def frames_of_files(contents: Sequence[bytes], preprocessing: Preprocessing) -> np.ndarray:
    """Returns float32[n, size, size, 3] frames; those that are not made without TensorFlow are made by it.

    Raises:
        NotDecodedError: A file is damaged.
    """
    if len(contents) == 1:
        frames = [frame_of_file(contents[0], preprocessing)]
    else:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            frames = list(threads.map(lambda one: frame_of_file(one, preprocessing), contents))
    left = [position for position, frame in enumerate(frames) if frame is None]
    if left:
        from tl_toolkit.export.tensor_frames import frames_by_tensorflow

        made = frames_by_tensorflow([contents[position] for position in left], left, preprocessing)
        for position, frame in zip(left, made, strict=True):
            frames[position] = frame
    return np.stack([frame for frame in frames if frame is not None])
