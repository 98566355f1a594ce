"""Networks: the ResNet family, its layers, and the assembled classifier."""

import contextlib
import gc
import os
from collections.abc import Iterator

from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import provide_temporary_folder


def _require_tensorflow(backend: str) -> None:
    if backend != "tensorflow":
        raise InputError(
            f"tl_toolkit runs on Keras' TensorFlow backend; the backend is {backend!r}. Set "
            "KERAS_BACKEND=tensorflow (or unset it) before Python starts, and see ~/.keras/keras.json."
        )


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """Within it, and for what is made in it, Python looks for no garbage: hundreds of thousands of objects are imported to stay."""
    if not gc.isenabled() or gc.get_freeze_count():  # somebody else decides on it
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # To the oldest generation, past the others' looking through all of them.
        gc.freeze()
        gc.unfreeze()
        gc.enable()


# Looked at before Keras is imported too: a backend that is not installed would fail there, in its words.
_require_tensorflow(os.environ.get("KERAS_BACKEND") or "tensorflow")

provide_temporary_folder()  # TensorFlow is not imported without one

with collector_at_rest():
    import keras

_require_tensorflow(keras.backend.backend())
