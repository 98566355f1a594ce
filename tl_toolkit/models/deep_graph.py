"""Room for networks of over 1,000 layers, whose graphs Keras walks by recursion."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Iterator

import keras

from tl_toolkit.files.manifest import check_file

# Keras 3.15 takes about 2 a block: for 600 basic blocks a limit of 1,150 is too low and 1,250 enough. The
# limit costs nothing, so there is room for another Keras, or another block, to take more.
FRAMES_A_BLOCK = 20


@contextlib.contextmanager
def recursion_room(blocks: int) -> Iterator[None]:
    """Raises Python's recursion limit while a graph of `blocks` residual blocks is walked."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 1000 + FRAMES_A_BLOCK * blocks))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def load_model(path: str | pathlib.Path) -> keras.Model:
    """Loads a `.keras` file with this toolkit's layers, at any depth, ready to train on.

    Args:
        path: The file, such as `model.keras` in a finished run's folder.

    Returns:
        The model, not compiled. A model of `run` ends in logits: compile it with a loss of
        `from_logits=True`.

    Raises:
        InputError: The file lies in a finished run's folder and is not as the run wrote it.

    Examples:
        >>> model = tl.load_model("my_run/model.keras")
        >>> model.output_shape
        (None, 3)
    """
    # Their layers register.
    from tl_toolkit.models import batch_norm, flipped_views, preprocessing  # noqa: F401

    check_file(pathlib.Path(path))
    with recursion_room(2000):
        return keras.models.load_model(path, compile=False)
