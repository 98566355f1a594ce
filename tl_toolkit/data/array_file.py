"""Arrays that a cache keeps in an .npz file."""

from __future__ import annotations

import contextlib
import pathlib
from typing import Any

import numpy as np

from tl_toolkit.files.atomic import written_aside


def write_arrays_if_room(path: pathlib.Path, **arrays: Any) -> None:
    """Writes an .npz file whole, and its folder; nothing where there is no room for it.

    Args:
        path: The file.
        arrays: By name, what `numpy.savez` takes.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside, aside.open("wb") as file:
            np.savez(file, **arrays)
