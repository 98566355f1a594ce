"""Frames of the files that only TensorFlow decodes as a SavedModel does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.resize import resize_files_for_evaluation
from tl_toolkit.export.asked_images import NotDecodedError
from tl_toolkit.export.tensor_endpoints import first_damaged


def frames_by_tensorflow(
    contents: Sequence[bytes], positions: Sequence[int], preprocessing: Preprocessing
) -> np.ndarray:
    """Returns float32[n, size, size, 3].

    Args:
        contents: Of files.
        positions: Of them, for the error to name.
        preprocessing: Of the network.

    Raises:
        NotDecodedError: A file is damaged.
    """
    try:
        return resize_files_for_evaluation(tf.constant(list(contents)), preprocessing).numpy()
    except tf.errors.OpError as error:
        damaged = first_damaged(contents)
        raise NotDecodedError(None if damaged is None else positions[damaged]) from error
