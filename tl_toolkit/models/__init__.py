"""Networks: the ResNet family, its layers, and the assembled classifier."""

import os

from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import provide_temporary_folder


def _require_tensorflow(backend: str) -> None:
    if backend != "tensorflow":
        raise InputError(
            f"tl_toolkit runs on Keras' TensorFlow backend; the backend is {backend!r}. Set "
            "KERAS_BACKEND=tensorflow (or unset it) before Python starts, and see ~/.keras/keras.json."
        )


# Looked at before Keras is imported too: a backend that is not installed would fail there, in its words.
_require_tensorflow(os.environ.get("KERAS_BACKEND") or "tensorflow")

provide_temporary_folder()  # TensorFlow is not imported without one

import keras  # noqa: E402

_require_tensorflow(keras.backend.backend())
