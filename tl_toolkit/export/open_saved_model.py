"""A SavedModel of ours, opened to answer by TensorFlow."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import tensorflow as tf

from tl_toolkit.data.seen_images import SEEN_IMAGES
from tl_toolkit.errors import InputError
from tl_toolkit.export.asked_images import Endpoint
from tl_toolkit.export.saved_model_layout import CARD
from tl_toolkit.export.tensor_endpoints import endpoints_of_tensors
from tl_toolkit.files.manifest import check_files

# What TensorFlow raises for a SavedModel that is not whole, and JSON for the card of one.
UNREADABLE = (
    tf.errors.OpError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)


def open_saved_model(folder: pathlib.Path) -> tuple[dict[str, Endpoint], dict[str, Any]]:
    """Returns a SavedModel's endpoints and its card.

    Raises:
        InputError: It is damaged.
    """
    check_files(folder, but=[SEEN_IMAGES.as_posix()])
    try:
        card = json.loads((folder / CARD).read_bytes())
        loaded = tf.saved_model.load(str(folder))
        # Its signatures alone would not hold its variables: they are kept with it.
        return endpoints_of_tensors(loaded.signatures, kept=loaded), card
    except UNREADABLE as error:
        raise InputError(
            f"The SavedModel {str(folder)!r} cannot be read: {error}. Restore it from a copy, or train again."
        ) from error
