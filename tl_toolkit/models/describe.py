"""Reads a ResNet's architecture and preprocessing off its layers."""

from __future__ import annotations

import re
from typing import Any

from tl_toolkit.catalog import (
    BASIC,
    BOTTLENECK,
    CIFAR_STEM,
    IMAGENET_STEM,
    V1,
    V1_5,
    Architecture,
    Preprocessing,
)
from tl_toolkit.errors import InputError

BLOCK_NAME = re.compile(r"(conv(\d+)_block(\d+))_.*")


def block_of(layer_name: str) -> str | None:
    """Returns the block that a layer belongs to, such as `"conv3_block1"`, or None for stem and head."""
    match = BLOCK_NAME.fullmatch(layer_name)
    return match.group(1) if match else None


def describe_architecture(config: dict[str, Any]) -> Architecture:
    """Reads the architecture off a Functional model's config.

    Args:
        config: Of `model.get_config()`, or the same from a `.keras` file.

    Raises:
        InputError: The layers are not those of a ResNet with this toolkit's names.
    """
    layers = _layers_by_name(config)
    blocks = sorted({(int(m[2]), int(m[3])) for m in map(BLOCK_NAME.fullmatch, layers) if m})
    stages = [stage for stage, _ in blocks]
    counts = [stages.count(stage) for stage in sorted(set(stages))]
    try:
        bottleneck = "conv2_block1_3_conv" in layers
        strided = layers.get("conv3_block1_2_conv", {}).get("strides", (1, 1))
        return Architecture(
            block=BOTTLENECK if bottleneck else BASIC,
            block_counts=tuple(counts),
            variant=V1 if bottleneck and _first(strided) == 1 and len(counts) > 1 else V1_5,
            width=layers["conv1_conv"]["filters"],
            stem=_stem_of(_first(layers["conv1_conv"]["kernel_size"])),
            bn_epsilon=layers["conv1_bn"]["epsilon"],
        )
    except KeyError as error:
        raise InputError(
            f"The model {config.get('name')!r} is not a ResNet with this toolkit's layer names: it has "
            f"no layer {error.args[0]!r}. Build it with tl.ResNet… or keras.applications."
        ) from error


def architecture_of_tensors(
    shapes: dict[str, tuple[int, ...]], source: str, *, variant: str, bn_epsilon: float
) -> Architecture:
    """Reads the architecture off the shapes of named tensors, which tell neither strides nor ε.

    Args:
        shapes: By `layer/variable` name.
        source: For the error.
        variant: As the source says.
        bn_epsilon: As the source says.

    Raises:
        InputError: The layers are not those of a ResNet with this toolkit's names.
    """
    layers = {name.partition("/")[0] for name in shapes}
    stages: dict[int, set[int]] = {}
    for match in filter(None, map(BLOCK_NAME.fullmatch, layers)):
        stages.setdefault(int(match[2]), set()).add(int(match[3]))
    if not stages or "conv1_conv/kernel" not in shapes:
        raise InputError(
            f"{source!r} does not hold a ResNet with the layer names of this toolkit and "
            f"keras.applications: {', '.join(sorted(layers)[:6])} …"
        )
    stem = shapes["conv1_conv/kernel"]
    return Architecture(
        block=BOTTLENECK if "conv2_block1_3_conv" in layers else BASIC,
        block_counts=tuple(len(stages[stage]) for stage in sorted(stages)),
        variant=variant,
        width=stem[-1],
        stem=_stem_of(stem[0]),
        bn_epsilon=bn_epsilon,
    )


def describe_preprocessing(config: dict[str, Any]) -> Preprocessing | None:
    """Reads the preprocessing off a Functional model's config; None where it has no such layer."""
    record = _layers_by_name(config).get("preprocessing", {}).get("record")
    return Preprocessing(**record) if record else None


def _layers_by_name(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        layer["config"]["name"]: layer["config"]
        for layer in config.get("layers", ())
        if "name" in layer.get("config", {})
    }


def _stem_of(kernel_size: int) -> str:
    return IMAGENET_STEM if kernel_size == 7 else CIFAR_STEM


def _first(value: Any) -> int:
    return value if isinstance(value, int) else value[0]
