"""From the name of a weight source to a file that can be read."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from types import ModuleType

import numpy as np

from tl_toolkit.catalog import CATALOG, WeightSpec
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.weights import keras_file, run_folder, safetensors_file

# A source of your own: a module with `accepts`, `read_spec` and `read_tensors`, and its name here.
CONVERTERS: tuple[ModuleType, ...] = (safetensors_file, keras_file, run_folder)

# In the wheel, and in a checkout.
SHIPPED_FOLDERS = (
    pathlib.Path(__file__).parents[1] / "shipped_weights",
    pathlib.Path(__file__).parents[2] / "saved_models",
)


@dataclasses.dataclass(frozen=True)
class WeightSource:
    """Weights that were found and can be read.

    Attributes:
        path: The file or folder.
        spec: What the source says of itself; None where it says nothing.
        converter: The module that reads it.
    """

    path: pathlib.Path
    spec: WeightSpec | None
    converter: ModuleType

    def read_tensors(self) -> dict[str, np.ndarray]:
        """Returns every tensor by its `layer/variable` name."""
        return self.converter.read_tensors(self.path)


def open_weights(source: str | pathlib.Path) -> WeightSource:
    """Finds weights by a catalogue name, or as a file or a run's folder.

    Raises:
        InputError: There are none of that name, no converter reads them, or the file is not the one
            that the catalogue means.
    """
    if str(source) in CATALOG:
        return _open_shipped(CATALOG[str(source)])
    path = pathlib.Path(source).expanduser()
    if not path.exists():
        hint = "A file or a finished run's folder can be given too; there is none of that name."
        raise unknown_name("weights", str(source), CATALOG, hint)
    for converter in CONVERTERS:
        if converter.accepts(path):
            return WeightSource(path, converter.read_spec(path), converter)
    expected = ".safetensors, .keras, .weights.h5, or the folder of a finished run"
    raise InputError(f"No converter reads the weights {str(path)!r}. Expected: {expected}.")


def _open_shipped(spec: WeightSpec) -> WeightSource:
    places = [folder / spec.filename for folder in SHIPPED_FOLDERS]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(
            f"The weights {spec.name!r} ship with the toolkit, but {spec.filename!r} is missing: "
            "install it again."
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != spec.sha256:
        raise InputError(
            f"{str(path)!r} is not the file that the catalogue means: its sha256 is {digest}, expected "
            f"{spec.sha256}. Install the toolkit again."
        )
    return WeightSource(path, spec, safetensors_file)
