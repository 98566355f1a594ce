"""Opens exported files with the runtime of their format alone; run as a script, it answers and times one.

    python runtimes.py

It reads a line of JSON: `path` of an exported file, `frames` (an .npy file, float32[n, size, size, 3]), `answers` (the
.npz file to write), `seconds` that each batch size is timed for, and of a SavedModel `encoded` (an .npz file of image
files' contents) too. The answers are
`probabilities`, float32[n, classes], `batch_sizes` and for each `images_per_second`, and `has_tensorflow`.

It imports neither this package nor, but for a SavedModel, TensorFlow: that a format needs neither is what is checked.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import sys
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Answer = Callable[[np.ndarray], np.ndarray]  # float32[n, size, size, 3] to float32[n, classes]

IMAGES, PROBABILITIES = "images", "probabilities"
UINT8_SIGNATURE, FLOAT_SIGNATURE = "serve_images", "serve_float_images"
BATCH_SIZES = (1, 32)
FEWEST_CALLS = 5  # that are timed


def open_onnx(path: str) -> tuple[Answer, dict[str, Any]]:
    """Returns what answers frames by ONNX Runtime on the processor, and the file's card."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["card"])
    return lambda frames: session.run([PROBABILITIES], {IMAGES: frames})[0], card


def open_litert(path: str) -> tuple[Answer, dict[str, Any]]:
    """Returns what answers frames by LiteRT on all cores, and the file's card."""
    from ai_edge_litert.interpreter import Interpreter

    with zipfile.ZipFile(path) as archive:
        card = json.loads(archive.read("card.json"))
    # A signature's memory is one batch's, so that answers are copied before the next.
    runner = Interpreter(path, num_threads=os.cpu_count()).get_signature_runner(FLOAT_SIGNATURE)
    return lambda frames: runner(images=frames)[PROBABILITIES].copy(), card


def open_openvino(path: str) -> tuple[Answer, dict[str, Any]]:
    """Returns what answers frames by OpenVINO on the processor, in float32, and the file's card."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    card = json.loads(model.get_rt_info(["tl_toolkit", "card"]).astype(str))
    # It would choose bfloat16 by itself where the processor has it.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda frames: compiled({IMAGES: frames})[PROBABILITIES], card


OPENERS = {".onnx": open_onnx, ".tflite": open_litert, ".xml": open_openvino}


def main() -> None:
    """Answers the request on standard input."""
    request = json.loads(sys.stdin.readline())
    frames = np.load(request["frames"], mmap_mode="r")
    path = pathlib.Path(request["path"])
    if path.suffix in OPENERS:
        answer, _ = OPENERS[path.suffix](str(path))
        parts = [answer(np.array(part)) for part in _parts(frames)]
    else:
        answer, parts = _saved_model(str(path), request["encoded"])
    seconds = request["seconds"]
    speeds = [images_per_second(answer, frames, size, seconds) for size in BATCH_SIZES]
    np.savez(
        request["answers"],
        probabilities=np.concatenate(parts),
        batch_sizes=BATCH_SIZES,
        images_per_second=speeds,
        has_tensorflow="tensorflow" in sys.modules,
    )


def images_per_second(
    answer: Answer, frames: np.ndarray, batch_size: int, at_least: float
) -> float:
    """Times batches: the median call of those of so many seconds, after a first one."""
    batch = np.resize(frames[:batch_size], (batch_size, *frames.shape[1:]))
    answer(batch)
    seconds: list[float] = []
    while len(seconds) < FEWEST_CALLS or sum(seconds) < at_least:
        start = time.perf_counter()
        answer(batch)
        seconds.append(time.perf_counter() - start)
    return batch_size / statistics.median(seconds)


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    size = max(BATCH_SIZES)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _saved_model(path: str, encoded_path: str) -> tuple[Answer, list[np.ndarray]]:
    """Returns what answers frames, and the answers to the image files."""
    import tensorflow as tf

    model = tf.saved_model.load(path)  # its signatures alone would not hold its variables
    with np.load(encoded_path, allow_pickle=False) as given:
        contents = given["contents"].tobytes()
        ends = np.cumsum(given["sizes"])
    files = np.array(
        [
            contents[end - size : end]
            for end, size in zip(ends, np.diff(ends, prepend=0), strict=True)
        ],
        object,
    )
    parts = [
        model.signatures["serving_default"](image_bytes=tf.constant(part))[PROBABILITIES].numpy()
        for part in _parts(files)
    ]

    def answer(frames: np.ndarray) -> np.ndarray:
        return model.signatures[FLOAT_SIGNATURE](images=tf.constant(frames))[PROBABILITIES].numpy()

    return answer, parts


if __name__ == "__main__":
    main()
