"""KerasHub's ResNet presets, read by KerasHub: `keras-hub:resnet_50_imagenet`, or a local preset folder."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import pathlib
from types import ModuleType

import numpy as np

from tl_toolkit.catalog import Architecture, Preprocessing, WeightSpec
from tl_toolkit.catalog.imagenet import TRAINED_ON, imagenet_class_names
from tl_toolkit.errors import InputError
from tl_toolkit.files.library_folders import environment, folder_can_be_made, some_home
from tl_toolkit.files.user_cache import UnavailableError, cache_folder

SCHEME = "keras-hub:"
BLOCK_TYPES = {"basic_block": "basic", "bottleneck_block": "bottleneck"}
HANDLES = "models/keras/resnetv1/keras"  # in kagglehub's cache
CACHE = "KAGGLEHUB_CACHE"  # names that


def accepts(path: pathlib.Path) -> bool:
    """Whether this is a preset's folder."""
    return path.is_dir() and (path / "config.json").is_file() and (path / "metadata.json").is_file()


def read_spec(path: pathlib.Path) -> WeightSpec:
    """Returns what the preset's configurations say."""
    config = _read_json(path / "config.json")
    settings = config.get("config", {})
    if "ResNetBackbone" not in str(config.get("class_name", config.get("registered_name"))):
        raise InputError(
            f"{str(path)!r} is not a ResNet preset: it is {config.get('class_name')!r}."
        )
    missing = {"block_type", "stackwise_num_blocks", "stackwise_num_filters"} - set(settings)
    if missing:
        raise InputError(f"{str(path / 'config.json')!r} lacks {', '.join(sorted(missing))}.")
    block = BLOCK_TYPES.get(settings["block_type"])
    is_v2 = settings.get("use_pre_activation", False)
    if block is None or is_v2:
        kind = "ResNet-V2" if is_v2 else "ResNet-VD"
        raise InputError(f"{str(path)!r} is a {kind}, which the toolkit does not build.")
    task = _read_json(path / "task.json") if (path / "task.json").is_file() else {}
    classes = task.get("config", {}).get("num_classes", 0)
    is_imagenet = classes == 1000 and "imagenet" in str(path)
    return WeightSpec(
        name=str(path),
        architecture=Architecture(
            block,
            tuple(settings["stackwise_num_blocks"]),
            width=settings["stackwise_num_filters"][0],
        ),
        preprocessing=_preprocessing(path),
        class_names=imagenet_class_names() if is_imagenet else (),
        classes=classes,
        trained_on=TRAINED_ON if is_imagenet else "",
    )


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns every tensor by its `layer/variable` name."""
    keras_hub = _keras_hub()
    if (path / "task.json").is_file():
        task = keras_hub.models.ImageClassifier.from_preset(str(path))
        backbone, head = task.backbone, {v.path: v for v in task.output_dense.weights}
    else:
        backbone, head = keras_hub.models.Backbone.from_preset(str(path)), {}
    tensors = {_our_name(v.path): v.numpy() for v in backbone.weights}
    return tensors | {f"predictions/{p.rpartition('/')[2]}": v.numpy() for p, v in head.items()}


def find_cached(spec: WeightSpec) -> pathlib.Path | None:
    """Returns the preset's folder in kagglehub's cache; None if it is not there or KerasHub is not installed."""
    if importlib.util.find_spec("keras_hub") is None:
        return None
    return next(filter(None, (_newest(spec.source, cache) for cache in _caches())), None)


def fetch(spec: WeightSpec) -> pathlib.Path:
    """Returns the folder of a catalogue entry's preset; see `fetch_preset`."""
    return fetch_preset(spec.source)


def fetch_preset(uri: str) -> pathlib.Path:
    """Returns the folder of `keras-hub:PRESET`, downloaded through KerasHub unless cached.

    Raises:
        UnavailableError: KerasHub is not installed, does not know the preset or cannot download it.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise UnavailableError("KerasHub is not installed (pip install 'tl-toolkit[keras-hub]')")
    preset = uri.removeprefix(SCHEME)
    presets = _keras_hub().models.ResNetBackbone.presets
    if preset not in presets:
        known = ", ".join(sorted(presets))
        raise UnavailableError(f"KerasHub has no ResNet preset {preset!r}; it has {known}", False)
    import kagglehub

    *read_only, cache = _caches()
    if found := next(filter(None, (_newest(uri, place) for place in read_only)), None):
        return found
    try:
        handle = presets[preset]["kaggle_handle"].removeprefix("kaggle://")
        # Its bar has no switch; the stage in which weights are loaded is shown already.
        with environment(CACHE, cache), contextlib.redirect_stderr(io.StringIO()):
            return pathlib.Path(kagglehub.model_download(handle))
    except Exception as error:  # kagglehub passes on what its HTTP library raises
        raise UnavailableError(f"KerasHub cannot download {preset!r}: {error}") from error


def _caches() -> list[pathlib.Path]:
    """Returns kagglehub's cache; before it the one in the home folder, if that can only be read."""
    if chosen := os.environ.get(CACHE):
        return [pathlib.Path(chosen)]
    usual = pathlib.Path(os.path.expanduser("~/.cache/kagglehub"))
    if folder_can_be_made(str(usual)):
        return [usual]
    with contextlib.suppress(UnavailableError):
        return [usual, cache_folder() / "kagglehub"]
    return [usual]


def _newest(uri: str, cache: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder of a preset's newest version in a cache."""
    versions = (cache / HANDLES).glob(f"{uri.removeprefix(SCHEME)}/*")
    whole = [version for version in versions if version.name.isdigit() and accepts(version)]
    return max(whole, key=lambda version: int(version.name), default=None)


def _keras_hub() -> ModuleType:
    try:
        with some_home():  # kagglehub looks for one when it is imported
            import keras_hub
    except ImportError as error:
        raise InputError(
            "Reading a KerasHub preset needs KerasHub: install it (pip install 'tl-toolkit[keras-hub]')."
        ) from error
    return keras_hub


def _our_name(path: str) -> str:
    """Translates `stack1_block0_2_conv/kernel` to `conv3_block1_2_conv/kernel`."""
    layer, _, variable = path.rpartition("/")
    layer = layer.rpartition("/")[2]
    if layer.startswith("stack"):
        stack, block, rest = layer.removeprefix("stack").split("_", 2)
        layer = f"conv{int(stack) + 2}_block{int(block.removeprefix('block')) + 1}_{rest}"
    return f"{layer}/{variable}"


def _preprocessing(path: pathlib.Path) -> Preprocessing | None:
    """Translates KerasHub's pixels * scale + offset, where both are one number or one a channel."""
    file = path / "preprocessor.json"
    if not file.is_file():
        return None
    config = _read_json(file).get("config", {})
    settings = config.get("image_converter", {}).get("config", {})
    if settings.get("scale") is None:
        return None
    scale, offset = (
        np.broadcast_to(np.asarray(settings.get(name) or 0.0, float), (3,))
        for name in ("scale", "offset")
    )
    std = 1 / (255 * scale)
    size = settings.get("image_size") or (224, 224)
    return Preprocessing(
        scale=1 / 255,
        mean=tuple(-offset * std),
        std=tuple(std),
        image_size=size[0],
        interpolation=settings.get("interpolation", "bilinear"),
    )


def _read_json(path: pathlib.Path) -> dict:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {str(path)!r} of a KerasHub preset: {error}.") from error
