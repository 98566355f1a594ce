"""What a served classifier answers to: image files, or pixels of either kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.resize import resize_files_for_evaluation, resize_pixels_for_evaluation


def make_endpoints(
    engine: Callable,
    preprocessing: Preprocessing,
    class_names: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> dict[str, tuple[Callable, tf.TensorSpec]]:
    """Returns functions with decoding, resizing, preprocessing, softmax or sigmoid, and labels inside.

    Each returns `classes` (string[batch, classes]) and `scores` (float32, the same shape), most probable
    first, and `probabilities` (float32[batch, classes]) in the order of `class_names`:

    - `serving_default`: `image_bytes`, string[batch], image files' contents; where the preprocessing has a value range,
      PNG files of 16-bit greys are scaled by it, and others taken as scaled already;
    - `serve_images`: `images`, uint8[batch, height, width, 3], RGB;
    - `serve_float_images`: `images`, float32[batch, height, width, 3], RGB, 0-255.

    With `thresholds` each label has a probability of its own, by the sigmoid, and there are `given` (bool, the shape and
    order of `classes`), whether the label's probability is its threshold or more, and `thresholds` (float32[batch,
    classes], in the order of `class_names`) too.

    Args:
        engine: From `inference_engine`: images (float32, 0-255) to logits.
        preprocessing: Gives the image size and the crop.
        class_names: In the order of the logits.
        thresholds: Of several labels an image, from which probability on each is given; None: it has one class.

    Returns:
        By name: the function and what it takes.
    """
    names = tf.constant(list(class_names))
    least = tf.constant(thresholds if thresholds is not None else [], tf.float32)

    def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.cast(engine(images), tf.float32)
        return of_one_class(logits) if thresholds is None else of_labels(logits)

    def of_labels(logits: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.sigmoid(logits)
        scores, order = tf.math.top_k(probabilities, k=len(class_names))
        return {
            "classes": tf.gather(names, order),
            "scores": scores,
            "given": scores >= tf.gather(least, order),
            "probabilities": probabilities,
            # A row an image, as servers that take requests row by row ask for.
            "thresholds": tf.zeros_like(probabilities) + least,
        }

    def of_one_class(logits: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.softmax(logits)
        scores, order = tf.math.top_k(probabilities, k=len(class_names))
        return {
            "classes": tf.gather(names, order),
            "scores": scores,
            "probabilities": probabilities,
        }

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(resize_files_for_evaluation(image_bytes, preprocessing))

    def serve_pixels(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(resize_pixels_for_evaluation(images, preprocessing))

    pixels = (None, None, None, 3)
    return {
        "serving_default": (serve_bytes, tf.TensorSpec([None], tf.string, "image_bytes")),
        "serve_images": (serve_pixels, tf.TensorSpec(pixels, tf.uint8, "images")),
        "serve_float_images": (serve_pixels, tf.TensorSpec(pixels, tf.float32, "images")),
    }
