"""Weights of a finished run of this toolkit."""

from __future__ import annotations

import pathlib

import numpy as np

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.files.manifest import check_file
from tl_toolkit.weights import keras_file, safetensors_file

MODEL_FILE = "model.keras"
SPEC_FILE = "weights.json"
FILES = (MODEL_FILE, SPEC_FILE)


def accepts(path: pathlib.Path) -> bool:
    """Whether this is a run's folder."""
    return path.is_dir() and all((path / name).is_file() for name in FILES)


def read_spec(path: pathlib.Path) -> WeightSpec:
    """Returns the spec that the run wrote."""
    check_file(path / SPEC_FILE)
    return safetensors_file.parse_spec((path / SPEC_FILE).read_bytes(), path / SPEC_FILE)


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns every tensor of the run's model by its `layer/variable` name."""
    return keras_file.read_tensors(path / MODEL_FILE)
