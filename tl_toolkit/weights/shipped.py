"""Weights that ship with the toolkit."""

from __future__ import annotations

import pathlib

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import file_digest

# In the wheel, and in a checkout.
FOLDERS = (
    pathlib.Path(__file__).parents[1] / "shipped_weights",
    pathlib.Path(__file__).parents[2] / "saved_models",
)


def find_cached(spec: WeightSpec) -> pathlib.Path | None:
    """Returns the file, or None if it is missing."""
    places = [folder / str(spec.filename) for folder in FOLDERS]
    return next((place for place in places if place.is_file()), None)


def fetch(spec: WeightSpec) -> pathlib.Path:
    """Returns the file after checking that it is the one in the catalogue."""
    path = find_cached(spec)
    if path is None:
        raise InputError(
            f"The weights {spec.name!r} ship with the toolkit, but {spec.filename!r} is missing: "
            "install it again."
        )
    if (digest := file_digest(path)) != spec.sha256:
        raise InputError(
            f"{str(path)!r} is not the file that the catalogue describes: its sha256 is {digest}, expected "
            f"{spec.sha256}. Install the toolkit again."
        )
    return path
