"""Weights in a safetensors file of this toolkit: `layer/variable` names, the spec in the header."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.errors import InputError
from tl_toolkit.files.atomic import written_aside

SPEC_KEY = "tl_toolkit.weight_spec"


def accepts(path: pathlib.Path) -> bool:
    """Whether this converter reads such a file."""
    return path.is_file() and path.suffix == ".safetensors"


def read_spec(path: pathlib.Path) -> WeightSpec | None:
    """Returns the spec in the file's header, or None if there is none."""
    with open_safetensors(path) as file:
        metadata = file.metadata() or {}
    return parse_spec(metadata[SPEC_KEY], path) if SPEC_KEY in metadata else None


def parse_spec(text: str | bytes, path: pathlib.Path) -> WeightSpec:
    """Parses the JSON of a spec; `path` is named in the error if it is invalid."""
    try:
        return WeightSpec.from_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(path)!r} holds no weight spec of this toolkit: {error!r}."
        ) from error


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns every tensor by its `layer/variable` name."""
    with open_safetensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict


def write(path: pathlib.Path, tensors: dict[str, np.ndarray], spec: WeightSpec) -> None:
    """Writes the file atomically: it is complete or absent."""
    metadata = {SPEC_KEY: json.dumps(spec.to_json())}
    # The library writes an array's memory as it is, and ignores its strides.
    in_c_order = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    with written_aside(path) as aside:
        safetensors.numpy.save_file(in_c_order, aside, metadata)


def open_safetensors(path: pathlib.Path) -> Any:
    """Opens any safetensors file; raises `InputError` if it is damaged or cut short."""
    try:
        return safetensors.safe_open(path, "numpy")
    except safetensors.SafetensorError as error:
        raise InputError(f"{str(path)!r} is not a whole safetensors file: {error}.") from error
