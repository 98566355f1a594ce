"""Run in a process of its own: answers images with SavedModels, with TensorFlow alone.

    python reload_check.py

It imports TensorFlow, and then waits for lines of JSON on standard input: the folder of a SavedModel, a file with
images, and the file for the answers. It repeats a line when that file is written. It ends with the input, or
ten minutes after its last answer.

It must not import this package, nor Keras: that the SavedModel needs nothing of them is what is checked.
"""

import concurrent.futures
import gc
import json
import os
import sys
import threading

if __name__ == "__main__":
    # TensorFlow imports Keras where it is, and with it scikit-learn and matplotlib, which takes as long as all else.
    sys.modules["keras"] = None  # type: ignore[assignment]
    gc.disable()  # nothing that is imported is garbage, and looking for it takes a quarter of the time

import numpy as np
import tensorflow as tf

PATIENCE = 600.0  # seconds; it holds memory


def main() -> None:
    """Answers line by line."""
    gc.freeze()
    gc.enable()
    # As the model that it is compared with was computed.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    line = sys.stdin.readline()  # a training may come first, however long
    while line:
        answer(*json.loads(line))
        print(line, end="", flush=True)
        line = line_within(PATIENCE)


def line_within(seconds: float) -> str:
    """Reads a line of standard input; ends the process where none comes in time."""
    end = threading.Timer(seconds, os._exit, [0])
    end.daemon = True
    end.start()
    line = sys.stdin.readline()
    end.cancel()
    return line


def answer(folder: str, given_path: str, answered_path: str) -> None:
    """Writes the probabilities of every endpoint for the given images."""
    endpoints = tf.saved_model.load(folder).signatures
    with np.load(given_path, allow_pickle=False) as given:
        sizes = np.cumsum(given["encoded_sizes"])[:-1]
        encoded = [part.tobytes() for part in np.split(given["encoded"], sizes)]
        pixels = [given[f"pixels_{index}"] for index in range(len(encoded))]

    def of_files() -> np.ndarray:
        return endpoints["serving_default"](image_bytes=tf.constant(encoded))["probabilities"]

    def of_pixels(endpoint: str, dtype: tf.DType) -> np.ndarray:
        batches = [tf.constant(image[None], dtype) for image in pixels]
        return np.concatenate(
            [endpoints[endpoint](images=batch)["probabilities"] for batch in batches]
        )

    # The first call of an endpoint optimises its graph, which takes seconds and one core.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = {
            "serving_default": pool.submit(of_files),
            "serve_images": pool.submit(of_pixels, "serve_images", tf.uint8),
            "serve_float_images": pool.submit(of_pixels, "serve_float_images", tf.float32),
        }
    np.savez(answered_path, **{name: part.result() for name, part in answers.items()})  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
