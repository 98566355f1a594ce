"""Weights with PyTorch's names (timm, torchvision), in a safetensors file or a torch file.

Everything else about them comes from timm's `config.json` next to the file, or from the catalogue if the file has a
published name, which ends with the first digits of its sha256.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import numpy as np

from tl_toolkit.catalog import BLOCK_COUNTS, CATALOG, Architecture, Preprocessing, WeightSpec
from tl_toolkit.catalog.imagenet import TRAINED_ON, imagenet_class_names
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import file_digest
from tl_toolkit.weights.safetensors_file import open_safetensors

TORCH_SUFFIXES = (".pth", ".pt", ".bin")
WRAPPERS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "backbone.", "model.")
BLOCK = re.compile(r"layer(\d)\.(\d+)\.(?:(conv|bn)(\d)|downsample\.([01]))")
VARIABLES = {
    "conv": {"weight": "kernel"},
    "bn": {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    },
    "fc": {"weight": "kernel", "bias": "bias"},
}
COUNTER = "num_batches_tracked"  # batches that a BN layer has seen: not a weight
LARGEST_PUBLISHED_SIZE = 224  # pixels; timm publishes the accuracy of all its ResNets at this size


def accepts(path: pathlib.Path) -> bool:
    """Whether this converter reads such a file."""
    if path.is_file() and path.suffix == ".safetensors":
        with open_safetensors(path) as file:
            return any(name.endswith("conv1.weight") for name in file.keys())  # noqa: SIM118
    return path.is_file() and path.suffix in TORCH_SUFFIXES


def read_spec(path: pathlib.Path) -> WeightSpec:
    """Returns what the tensors and the files next to them say.

    The variant is v1.5 and ε is 1e-5, as in every ResNet of torchvision and timm with these names.
    """
    tensors = _read(path)
    architecture = _architecture(tensors, path)
    published = _published(path)
    if published is not None:
        return published
    classes = tensors["fc.weight"].shape[0] if "fc.weight" in tensors else 0
    spec = WeightSpec(str(path), architecture, classes=classes)
    config = path.with_name("config.json")
    return _with_config(spec, config) if config.is_file() else spec


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns every tensor by its `layer/variable` name."""
    tensors = _read(path)
    _architecture(tensors, path)
    converted = {}
    for name, tensor in tensors.items():
        kind, our_name = _our_name(name)
        if kind == "conv":
            tensor = tensor.transpose(2, 3, 1, 0)
        elif our_name == "predictions/kernel":
            tensor = tensor.transpose()
        converted[our_name] = tensor
    return converted


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Every tensor by its PyTorch name, without wrappers, prefixes and counters."""
    if path.suffix == ".safetensors":
        with open_safetensors(path) as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    else:
        state = _read_torch_file(path)
    return {
        _without_prefix(name): tensor
        for name, tensor in state.items()
        if not name.endswith(COUNTER)
    }


def _read_torch_file(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{str(path)!r} is a torch file, which only torch reads safely: install it (pip install "
            "'tl-toolkit[torch]'), or convert the file on a machine that has torch, with "
            "safetensors.torch.save_file(torch.load(path, weights_only=True), 'weights.safetensors')."
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # it raises many kinds, and bare RuntimeErrors
        raise InputError(
            f"torch cannot read {str(path)!r} as plain weights (weights_only=True): it is cut short, "
            f"or holds code, which is never run. {str(error).splitlines()[0] if str(error) else error!r}"
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(
            f"{str(path)!r} holds no dict of tensors, at the top level or under {', '.join(WRAPPERS)}."
        )
    # numpy has no bfloat16.
    return {
        name: (t.float() if t.dtype is torch.bfloat16 else t).detach().numpy()
        for name, t in state.items()
    }


def _without_prefix(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name


def _our_name(name: str) -> tuple[str, str]:
    """Returns the layer's kind and `layer/variable`; an unknown name is returned unchanged."""
    layer, _, variable = name.rpartition(".")
    if layer == "fc":
        kind, ours = "fc", "predictions"
    elif layer in ("conv1", "bn1"):
        kind, ours = layer[:-1], f"conv1_{layer[:-1]}"
    elif match := BLOCK.fullmatch(layer):
        stage, block, kind, number, shortcut = match.groups()
        kind = kind or ("conv" if shortcut == "0" else "bn")
        ours = f"conv{int(stage) + 1}_block{int(block) + 1}_{number or 0}_{kind}"
    else:
        return "", name
    ours_variable = VARIABLES[kind].get(variable)
    return (kind, f"{ours}/{ours_variable}") if ours_variable else ("", name)


def _architecture(tensors: dict[str, np.ndarray], path: pathlib.Path) -> Architecture:
    """Infers the network from the shapes, and refuses anything but a plain ResNet."""
    _refuse_other_networks(tensors, path)
    bottleneck = "layer1.0.conv3.weight" in tensors
    counts: list[int] = []
    while f"layer{len(counts) + 1}.0.conv1.weight" in tensors:
        prefix = f"layer{len(counts) + 1}."
        blocks = {name.split(".")[1] for name in tensors if name.startswith(prefix)}
        counts.append(len(blocks))
    stem = tensors["conv1.weight"]
    return Architecture(
        block="bottleneck" if bottleneck else "basic",
        block_counts=tuple(counts),
        width=stem.shape[0],
        stem="imagenet" if stem.shape[-1] == 7 else "cifar",
    )


def _refuse_other_networks(tensors: dict[str, np.ndarray], path: pathlib.Path) -> None:
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    width = shapes.get("conv1.weight", (0,))[0]
    first = shapes.get("layer1.0.conv1.weight", (0, 0))
    second = shapes.get("layer1.0.conv2.weight", (0, 0))
    names = " ".join(shapes)
    quantised = [n for n, t in tensors.items() if not np.issubdtype(t.dtype, np.floating)]
    reason = None
    if quantised or "_packed_params" in names:
        reason = (
            f"it is quantised ({(quantised or ['packed parameters'])[0]} is not floating-point)"
        )
    elif "bn1.weight" not in shapes and "conv1.bias" in shapes:
        reason = "its batch normalisation is folded into the convolutions, so it cannot be trained"
    elif (
        any(len(s) == 4 for n, s in shapes.items() if ".downsample.1." in n) or "conv1.0." in names
    ):
        reason = "it is a ResNet-C, -D or -T (deep stem, or pooling in the shortcut)"
    elif ".se." in names or ".attn" in names or ".fc1." in names:
        reason = "its blocks have attention (SE, ECA and the like)"
    elif "layer1.0.conv1.weight" not in shapes or "conv1.weight" not in shapes:
        reason = f"it has no layer1.0.conv1, unlike torchvision's and timm's: {', '.join(list(shapes)[:4])} …"
    elif second[1] != first[0]:
        reason = "its convolutions are grouped (ResNeXt)"
    elif first[0] != width:
        reason = f"it is a wide ResNet: {first[0]} filters in the first block, {width} in the stem"
    if reason is not None:
        raise InputError(f"{str(path)!r} does not hold the weights of a plain ResNet: {reason}.")


def _published(path: pathlib.Path) -> WeightSpec | None:
    """The catalogue's record, if the file has the name under which its authors publish it."""
    spec = next((s for s in CATALOG.values() if s.filename == path.name), None)
    if spec is None:
        return None
    begin = path.stem.rpartition("-")[2]
    if not (digest := file_digest(path)).startswith(begin):
        raise InputError(
            f"{str(path)!r} has the name of a published file but not its contents, or is cut short: its "
            f"sha256 is {digest}, expected one that begins with {begin}. Download it again, or rename it "
            "if it is your own."
        )
    return spec


def _with_config(spec: WeightSpec, path: pathlib.Path) -> WeightSpec:
    """Adds what timm's `config.json` says."""
    try:
        config = json.loads(path.read_bytes())
        settings = config.get("pretrained_cfg") or {}
        name = config.get("architecture", spec.architecture.name)
        preprocessing = _preprocessing(settings) if settings.get("mean") else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(path)!r} is not in timm's format: {error!r}.") from error
    if name in BLOCK_COUNTS and name != spec.architecture.name:
        raise InputError(
            f"{str(path)!r} says {name!r}, but the tensors next to it are a {spec.architecture.name}."
        )
    tag = settings.get("tag") or ""
    is_imagenet = tag.endswith("in1k") and spec.classes == 1000
    return spec.__class__(
        name=spec.name,
        architecture=spec.architecture,
        preprocessing=preprocessing,
        class_names=imagenet_class_names()
        if is_imagenet
        else tuple(config.get("label_names") or ()),
        classes=spec.classes,
        trained_on=TRAINED_ON if is_imagenet else tag,
        licence=settings.get("license") or "",
    )


def _preprocessing(settings: dict[str, Any]) -> Preprocessing:
    """Reads timm's settings; at the test size, if that is the larger one and at most 224 px."""
    size, crop = settings["input_size"][-1], settings["crop_pct"]
    test_size = (settings.get("test_input_size") or [0])[-1]
    if size < test_size <= LARGEST_PUBLISHED_SIZE:
        size, crop = test_size, settings.get("test_crop_pct") or crop
    return Preprocessing(
        scale=1 / 255,
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        image_size=size,
        crop_fraction=crop,
        interpolation=settings["interpolation"],
    )
