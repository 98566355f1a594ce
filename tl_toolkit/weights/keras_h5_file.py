"""Weights in a legacy Keras `.h5` file: downloads of keras.applications, and whole Keras 2 models."""

from __future__ import annotations

import dataclasses
import pathlib

import h5py
import numpy as np

from tl_toolkit.catalog import CATALOG, WeightSpec
from tl_toolkit.errors import InputError
from tl_toolkit.weights import first_keras_names, keras_applications
from tl_toolkit.weights.keras_file import spec_of_biased


def accepts(path: pathlib.Path) -> bool:
    """Whether this converter reads such a file."""
    return path.is_file() and path.suffix in (".h5", ".hdf5") and ".weights." not in path.name


def read_spec(path: pathlib.Path) -> WeightSpec:
    """Returns the catalogue's record for a file of keras.applications, else what the tensors say.

    These files do not record the network's strides and ε. Only the builders of keras.applications
    combine these layer names with biased convolutions; they build variant v1 with ε 1.001e-5.
    """
    published = [s for s in CATALOG.values() if s.source == "keras.applications"]
    for spec in published:
        if path.name == spec.filename:
            keras_applications.check_file(path)
            return spec
    tensors, is_first = _read(path)
    if "conv1_conv/bias" not in tensors:
        raise InputError(
            f"{str(path)!r} does not say its network's strides and ε, and its convolutions have no biases, "
            "unlike those of keras.applications: save the model as .keras, which records both."
        )
    spec = spec_of_biased(tensors, path)
    if not is_first:
        return spec
    first = dataclasses.replace(spec.architecture, bn_epsilon=first_keras_names.BN_EPSILON)
    return dataclasses.replace(spec, architecture=first)


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns every tensor by its `layer/variable` name, including biases of convolutions."""
    return _read(path)[0]


def _read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], bool]:
    tensors: dict[str, np.ndarray] = {}
    try:
        with h5py.File(path) as file:
            group = file.get("model_weights", file)
            for layer in _names(group, "layer_names"):
                for name in _names(group[layer], "weight_names"):
                    variable = name.rpartition("/")[2].partition(":")[0]
                    tensors[f"{layer}/{variable}"] = group[layer][name][()]
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{str(path)!r} is not a whole legacy file of Keras: {error}.") from error
    is_first = first_keras_names.has_first_names(tensors)
    return (first_keras_names.renamed(tensors) if is_first else tensors), is_first


def _names(group: h5py.Group, attribute: str) -> list[str]:
    # Long lists are split into numbered attributes: HDF5 holds at most 64 KB in one.
    attributes = [attribute] if attribute in group.attrs else []
    attributes += [f"{attribute}{n}" for n in range(1000) if f"{attribute}{n}" in group.attrs]
    if not attributes:
        raise KeyError(attribute)
    names = [name for key in attributes for name in group.attrs[key]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
