"""From the name of a weight source to a file that can be read."""

from __future__ import annotations

import dataclasses
import pathlib
from types import ModuleType

import numpy as np

from tl_toolkit.catalog import CATALOG, WeightSpec, list_weights
from tl_toolkit.catalog.imagenet import TRAINED_ON
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.files.user_cache import UnavailableError
from tl_toolkit.weights import (
    hugging_face,
    keras_applications,
    keras_file,
    keras_h5_file,
    keras_hub_preset,
    npm_resnet50,
    pytorch_file,
    run_folder,
    safetensors_file,
    shipped,
)

IMAGENET = "imagenet"

# To add a file format: a module with `accepts`, `read_spec` and `read_tensors`, listed here.
CONVERTERS: tuple[ModuleType, ...] = (
    pytorch_file,
    safetensors_file,
    keras_file,
    keras_h5_file,
    keras_hub_preset,
    npm_resnet50,
    run_folder,
)
# To add a place to download from: a module with `find_cached` and `fetch`, under the prefix of its records'
# `source`.
FETCHERS: dict[str, ModuleType] = {
    "shipped": shipped,
    "hf": hugging_face,
    "keras-hub": keras_hub_preset,
    "keras.applications": keras_applications,
    "npm": npm_resnet50,
}
NOT_READ = {
    ".onnx": "an ONNX graph, whose batch normalisation is folded or renamed by its exporter",
    ".tflite": "a TensorFlow Lite graph, folded for inference",
    ".pb": "a frozen TensorFlow graph",
    ".gguf": "quantised",
    ".npz": "an archive of arrays that does not describe its network",
    ".pkl": "a pickle, which can run any code",
}


@dataclasses.dataclass(frozen=True)
class WeightSource:
    """Weights that were found and can be read.

    Attributes:
        path: The file or folder.
        spec: What the catalogue or the source says about them; None if neither says anything.
        converter: The module that reads it.
        notes: How they were found, for the user.
    """

    path: pathlib.Path
    spec: WeightSpec | None
    converter: ModuleType
    notes: tuple[str, ...] = ()

    def read_tensors(self) -> dict[str, np.ndarray]:
        """Returns every tensor by its `layer/variable` name."""
        return self.converter.read_tensors(self.path)


def open_weights(
    source: str | pathlib.Path, architecture: str | None = None, *, frozen: bool = False
) -> WeightSource:
    """Finds weights, and downloads them if necessary.

    Args:
        source: `"imagenet"`, a catalogue name, `"hf://OWNER/NAME[@REVISION]"`, `"keras-hub:PRESET"`, a
            file, or a finished run's folder.
        architecture: Such as `"resnet50"`, for `"imagenet"`.
        frozen: Whether layers stay as they are: `"imagenet"` then stands for weights of hard labels first.

    Raises:
        InputError: The name is unknown, the weights are not available, no converter reads them, or the file is
            not the one that the catalogue describes.
    """
    name = str(source)
    if name == IMAGENET:
        return _open_imagenet(architecture, frozen)
    if name in CATALOG:
        try:
            return _open_record(CATALOG[name])
        except UnavailableError as error:
            raise InputError(f"The weights {name!r} are not available: {error}.") from error
    for scheme, fetch in (
        (hugging_face.SCHEME, hugging_face.fetch_uri),
        (keras_hub_preset.SCHEME, keras_hub_preset.fetch_preset),
    ):
        if name.startswith(scheme):
            try:
                found = _open_path(fetch(name))
            except UnavailableError as error:
                raise InputError(f"The weights {name!r} are not available: {error}.") from error
            spec = found.spec and dataclasses.replace(found.spec, name=name, source=name)
            return dataclasses.replace(found, spec=spec)
    try:
        path = pathlib.Path(source).expanduser()
        is_there = path.exists()
    except (
        OSError,
        RuntimeError,
    ) as error:  # too long a name, a folder without access, an unknown user
        raise InputError(f"The weights {name!r} cannot be looked up: {error}") from error
    if not is_there:
        hint = "A file or a finished run's folder can be given too; there is none of that name."
        raise unknown_name("weights", name, [IMAGENET, *CATALOG], hint)
    return _open_path(path)


def _open_path(path: pathlib.Path) -> WeightSource:
    for converter in CONVERTERS:
        if converter.accepts(path):
            return WeightSource(path, converter.read_spec(path), converter)
    reason = f" It is {NOT_READ[path.suffix]}." if path.suffix in NOT_READ else ""
    raise InputError(
        f"No converter reads the weights {str(path)!r}.{reason} Expected: .safetensors, .pth, .pt, .keras, "
        ".weights.h5, .h5, a KerasHub preset's folder, or the folder of a finished run."
    )


def _open_record(spec: WeightSpec) -> WeightSource:
    """Opens a catalogue entry; what the file says about itself must agree with the record."""
    found = _open_path(_fetcher(spec).fetch(spec))
    stated = found.spec
    for field in ("architecture", "preprocessing"):
        ours, theirs = getattr(spec, field), getattr(stated, field, None)
        if ours is not None and theirs is not None and ours != theirs:
            raise InputError(
                f"The weights {spec.name!r} are not as the catalogue describes them: it says {ours}, but the "
                f"source says {theirs}. To trust the source, name {spec.source!r} or the file."
            )
    if spec.preprocessing is None and stated is not None:
        spec = dataclasses.replace(spec, preprocessing=stated.preprocessing)
    return dataclasses.replace(found, spec=spec)


def _fetcher(spec: WeightSpec) -> ModuleType:
    return FETCHERS[spec.source.partition(":")[0]]


def _open_imagenet(architecture: str | None, frozen: bool) -> WeightSource:
    """Opens the best ImageNet weights available: those in a cache first, then in the catalogue's order.

    For layers that stay frozen, those of hard labels come before all others, in the cache and in the catalogue.
    """
    if architecture is None:
        raise InputError("The weights 'imagenet' need a `backbone`, such as 'resnet50'.")
    candidates = [
        spec
        for spec in list_weights(architecture)
        if spec.trained_on == TRAINED_ON and not spec.forbids_commercial_use
    ]
    if frozen:
        candidates.sort(key=lambda spec: not spec.hard_labels)
    cached = [spec for spec in candidates if _fetcher(spec).find_cached(spec) is not None]
    tried: dict[str, str] = {}
    unreachable = set()
    for spec in (*cached, *candidates):
        place = spec.source.partition(":")[0]
        if place in unreachable or spec.name in tried:
            continue
        try:
            found = _open_record(spec)
        except UnavailableError as error:
            tried[spec.name] = str(error)
            if error.source_is_down:
                unreachable.add(place)
            continue
        skipped = f"; not available: {', '.join(tried)}" if tried else ""
        return dataclasses.replace(
            found, notes=(f"weights 'imagenet': {spec.name} from {spec.source}{skipped}",)
        )
    reasons = "".join(f"\n  {name}: {reason}." for name, reason in tried.items())
    raise InputError(
        f"No ImageNet weights for {architecture} are available. Tried:{reasons}\nOnline, run the "
        f"same command again; offline, download a file elsewhere (tl-toolkit weights {architecture} lists "
        "them) and give its path."
    )
