"""Weights in a `.keras` or `.weights.h5` file, of this toolkit or of plain Keras with the same layer names."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import zipfile
from collections.abc import Iterator

import h5py
import ml_dtypes
import numpy as np

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.catalog.imagenet import KERAS_EPSILON
from tl_toolkit.errors import InputError
from tl_toolkit.files.manifest import check_file
from tl_toolkit.models.describe import (
    architecture_of_tensors,
    describe_architecture,
    describe_preprocessing,
)
from tl_toolkit.models.head import FEATURES_HEAD

# A layer's variables in the file's order, by how many there are.
VARIABLES = {
    1: ("kernel",),
    2: ("kernel", "bias"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def accepts(path: pathlib.Path) -> bool:
    """Whether this converter reads such a file."""
    return path.is_file() and (path.suffix == ".keras" or path.name.endswith(".weights.h5"))


def read_spec(path: pathlib.Path) -> WeightSpec | None:
    """Reads the spec from a `.keras` file's config.

    A `.weights.h5` has no config. If its convolutions have biases, it comes from a builder of
    keras.applications, whose variant and ε are known; otherwise the spec is None.
    """
    if path.suffix != ".keras":
        tensors = read_tensors(path)
        return spec_of_biased(tensors, path) if "conv1_conv/bias" in tensors else None
    check_file(path)
    with _errors(path), zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))["config"]
    dense = {
        layer["config"]["name"]: layer["config"]["units"]
        for layer in config.get("layers", ())
        if layer.get("class_name") == "Dense"
    }
    return WeightSpec(
        name=str(path),
        architecture=describe_architecture(config),
        preprocessing=describe_preprocessing(config),
        classes=dense.get(FEATURES_HEAD, 0),
    )


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns every tensor by its `layer/variable` name.

    Raises:
        InputError: The file is damaged, is in a finished run and not as it was written there, or was written by Keras before 3.10, without layer names.
    """
    check_file(path)
    tensors: dict[str, np.ndarray] = {}
    with _errors(path), _h5(path) as file:

        def visit(group_path: str, entry: h5py.Group | h5py.Dataset) -> None:
            is_layer = group_path.startswith("layers/") and group_path.endswith("/vars")
            # A layer's random number generator is state, not a weight.
            if not is_layer or not len(entry) or "/seed_generator" in group_path:
                return
            if "name" not in entry.attrs:
                raise InputError(
                    f"{str(path)!r} does not name its layers: it was written by Keras before 3.10. Load "
                    "it into its model with a newer Keras, and save it again."
                )
            layer = entry.attrs["name"]
            names = VARIABLES.get(len(entry), tuple(str(n) for n in range(len(entry))))
            for index, name in enumerate(names):
                tensors[f"{layer}/{name}"] = _array(entry[str(index)])

        file.visititems(visit)
    return tensors


def spec_of_biased(tensors: dict[str, np.ndarray], path: pathlib.Path) -> WeightSpec:
    """Returns what is known about a file without a config whose convolutions have biases."""
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    architecture = architecture_of_tensors(
        shapes, str(path), variant="v1", bn_epsilon=KERAS_EPSILON
    )
    head = shapes.get(f"{FEATURES_HEAD}/kernel", (0,))
    return WeightSpec(str(path), architecture, classes=head[-1])


def _array(dataset: h5py.Dataset) -> np.ndarray:
    array = dataset[()]
    return array.view(ml_dtypes.bfloat16) if dataset.attrs.get("dtype") == "bfloat16" else array


@contextlib.contextmanager
def _h5(path: pathlib.Path) -> Iterator[h5py.File]:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            contents = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(contents) as file:
            yield file
    else:
        with h5py.File(path) as file:
            yield file


@contextlib.contextmanager
def _errors(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    # HDF5 reports damage inside a file as a RuntimeError, or returns values that make no sense.
    except (zipfile.BadZipFile, OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{str(path)!r} is not a whole Keras file: {error}.") from error
