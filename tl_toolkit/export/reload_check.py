"""Run in a process of its own: answers images with a SavedModel, with TensorFlow alone.

    python reload_check.py SAVED_MODEL GIVEN.npz ANSWERED.npz

It must not import this package: that the SavedModel needs nothing of it is what is checked.
"""

import sys

import numpy as np
import tensorflow as tf


def main(folder: str, given_path: str, answered_path: str) -> None:
    """Writes the probabilities of every endpoint for the given images."""
    # As the model that it is compared with was computed.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    endpoints = tf.saved_model.load(folder).signatures
    with np.load(given_path, allow_pickle=False) as given:
        sizes = np.cumsum(given["encoded_sizes"])[:-1]
        encoded = [part.tobytes() for part in np.split(given["encoded"], sizes)]
        pixels = [given[f"pixels_{index}"] for index in range(len(encoded))]

    def probabilities(endpoint: str, **batch: tf.Tensor) -> np.ndarray:
        return endpoints[endpoint](**batch)["probabilities"].numpy()

    def one_by_one(endpoint: str, dtype: tf.DType) -> np.ndarray:
        parts = [probabilities(endpoint, images=tf.constant(p[None], dtype)) for p in pixels]
        return np.concatenate(parts)

    np.savez(
        answered_path,
        serving_default=probabilities("serving_default", image_bytes=tf.constant(encoded)),
        serve_images=one_by_one("serve_images", tf.uint8),
        serve_float_images=one_by_one("serve_float_images", tf.float32),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
