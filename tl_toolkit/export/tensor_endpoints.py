"""TensorFlow's functions as the endpoints that a `Classifier` asks, which take and give NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tl_toolkit.data.decode import check_image
from tl_toolkit.export.asked_images import Endpoint, NotDecodedError


def endpoints_of_tensors(
    functions: Mapping[str, Callable], kept: Any = None
) -> dict[str, Endpoint]:
    """Returns endpoints that ask functions such as `make_endpoints` has, or a SavedModel's signatures.

    Args:
        functions: By name; each takes and gives tensors.
        kept: What must live as long as they do, such as the SavedModel, whose variables its signatures do not hold.
    """
    return {name: _endpoint_of(function, kept) for name, function in functions.items()}


def _endpoint_of(function: Callable, kept: Any) -> Endpoint:
    def ask(*, _kept: Any = kept, **given: Any) -> dict[str, np.ndarray]:
        try:
            tensors = {name: tf.constant(value) for name, value in given.items()}
            return {name: _array(answer) for name, answer in function(**tensors).items()}
        except tf.errors.OpError as error:
            contents = given.get("image_bytes")
            if contents is None:
                raise
            raise NotDecodedError(first_damaged(contents)) from error

    return ask


def _array(answer: tf.Tensor) -> np.ndarray:
    values = answer.numpy()
    return np.char.decode(values.astype(bytes), "utf-8") if answer.dtype == tf.string else values


def first_damaged(contents: Sequence[bytes]) -> int | None:
    """Returns the position of the first file that TensorFlow does not decode; None where it decodes each of them."""
    for position, content in enumerate(contents):
        try:
            check_image(content)
        except tf.errors.OpError:
            return position
    return None
