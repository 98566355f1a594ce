"""The architecture as table 1 of He et al. 2015 shows it, with parameters and multiply-adds counted."""

from __future__ import annotations

import dataclasses
import math

import keras

from tl_toolkit.catalog import (
    BASIC,
    BLOCK_COUNTS,
    BOTTLENECK,
    IMAGENET_STEM,
    V1_5,
    VARIANTS,
    Architecture,
)
from tl_toolkit.models.describe import block_of
from tl_toolkit.models.resnet import block_layout, build_resnet

# He et al. 2015, table 1, "FLOPs", which are multiply-adds: 10⁹ at 224 x 224.
PAPER_MULTIPLY_ADDS = {
    "resnet18": 1.8e9,
    "resnet34": 3.6e9,
    "resnet50": 3.8e9,
    "resnet101": 7.6e9,
    "resnet152": 11.3e9,
}


@dataclasses.dataclass(frozen=True)
class StageRow:
    """One line of the table.

    Attributes:
        stage: `"conv1"` to `"conv5"`, then `"head"`.
        output_size: Side of its feature map in pixels.
        layers: Its convolutions, with their filters, and how many blocks of them.
        shortcut: Where the shortcut is a projection (dashed in the paper), and what it changes.
    """

    stage: str
    output_size: int
    layers: str
    shortcut: str


def stage_rows(architecture: Architecture, classes: int = 1000, side: int = 224) -> list[StageRow]:
    """Returns the table of an architecture for square images of `side` pixels."""
    model = _shapes_of(architecture, side, classes)
    last_of_stage = {
        block.partition("_")[0]: layer.output.shape[1]
        for layer in model.layers
        if (block := block_of(layer.name))
    }
    is_imagenet = architecture.stem == IMAGENET_STEM
    stem = f"{'7x7' if is_imagenet else '3x3'}, {architecture.width}"
    stem += ", stride 2" if is_imagenet else ""
    conv1 = model.get_layer("conv1_relu").output.shape[1]
    rows = [StageRow("conv1", conv1, stem, "")]
    for index, count in enumerate(architecture.block_counts):
        stage = f"conv{index + 2}"
        filters, stride, projection = next(
            row[1:] for row in block_layout(architecture) if row[0] == f"{stage}_block1"
        )
        if architecture.block == BASIC:
            layers = f"[3x3, {filters}; 3x3, {filters}] x {count}"
        else:
            layers = f"[1x1, {filters}; 3x3, {filters}; 1x1, {4 * filters}] x {count}"
        if index == 0 and is_imagenet:
            layers = f"3x3 max pool, stride 2; {layers}"
        shortcut = "all identity"
        if projection:
            changes = "size and channels" if stride == 2 else "channels only"
            shortcut = f"block 1 projection ({changes})"
        rows.append(StageRow(stage, last_of_stage[stage], layers, shortcut))
    return [*rows, StageRow("head", 1, f"average pool, {classes}-d dense, softmax", "")]


def parameters(model: keras.Model) -> int:
    """Counts the learned parameters, which leaves out batch normalisation's statistics."""
    return sum(
        math.prod(weight.shape)
        for layer in model.layers
        for weight in layer.weights
        if weight.name not in ("moving_mean", "moving_variance")
    )


def multiply_adds(model: keras.Model) -> int:
    """Counts the multiply-adds of convolutions and dense layers for one image."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            height, width = layer.output.shape[1:3]
            total += height * width * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        name: Of the architecture.
        variant: `"v1"` or `"v1.5"`.
        parameters: Learned ones, the 1000-way head included.
        multiply_adds: For one image.
        paper: Multiply-adds that the paper gives; None where it gives none.
    """

    name: str
    variant: str
    parameters: int
    multiply_adds: int
    paper: float | None


def costs(name: str, side: int = 224) -> list[Cost]:
    """Returns the costs of each variant of a named architecture."""
    variants = VARIANTS if BLOCK_COUNTS[name][0] == BOTTLENECK else (V1_5,)
    results = []
    for variant in variants:
        model = _shapes_of(Architecture.named(name, variant=variant), side)
        paper = PAPER_MULTIPLY_ADDS.get(name) if side == 224 else None
        label = variant if len(variants) > 1 else "v1 = v1.5"
        results.append(Cost(name, label, parameters(model), multiply_adds(model), paper))
    return results


def _shapes_of(architecture: Architecture, side: int, classes: int = 1000) -> keras.Model:
    """Builds a network whose weights have shapes and no values: drawing 60 million takes seconds."""
    with keras.StatelessScope(initialize_variables=False):
        return build_resnet(architecture, input_shape=(side, side, 3), classes=classes)
