"""What an architecture, a preprocessing and a weight set are, as plain records."""

from __future__ import annotations

import dataclasses
from typing import Any

from tl_toolkit.catalog.names import (
    BASIC,
    BLOCKS,
    BOTTLENECK,
    CROP,
    IMAGENET_STEM,
    RESIZES,
    STEMS,
    V1_5,
    VARIANTS,
)
from tl_toolkit.catalog.value_range import ValueRange, as_value_range
from tl_toolkit.errors import InputError, unknown_name

# He et al. 2015, "Deep Residual Learning for Image Recognition", table 1.
BLOCK_COUNTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "resnet18": (BASIC, (2, 2, 2, 2)),
    "resnet34": (BASIC, (3, 4, 6, 3)),
    "resnet50": (BOTTLENECK, (3, 4, 6, 3)),
    "resnet101": (BOTTLENECK, (3, 4, 23, 3)),
    "resnet152": (BOTTLENECK, (3, 8, 36, 3)),
}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that decides the shape and the arithmetic of a ResNet without its head.

    Attributes:
        block: `"basic"` (two 3x3 convolutions) or `"bottleneck"` (1x1, 3x3, 1x1).
        block_counts: Blocks in each stage, starting with conv2.
        variant: `"v1"` puts a stage's stride on the first 1x1 of a bottleneck, `"v1.5"` on its 3x3.
            Basic blocks are the same in both.
        width: Filters of the stem and of the first stage's inner convolutions.
        stem: `"imagenet"` (7x7, stride 2, then 3x3 max pooling, stride 2) or `"cifar"` (3x3, stride 1).
        bn_epsilon: ε of every batch normalisation.
    """

    block: str
    block_counts: tuple[int, ...]
    variant: str = V1_5
    width: int = 64
    stem: str = IMAGENET_STEM
    bn_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        object.__setattr__(self, "block_counts", _counts(self.block_counts))
        for value, kind, choices in (
            (self.block, "block", BLOCKS),
            (self.variant, "variant", VARIANTS),
            (self.stem, "stem", STEMS),
        ):
            if value not in choices:
                raise unknown_name(kind, value, choices)
        if self.width < 1:
            raise InputError(f"`width` must be at least 1. Received: {self.width}")
        if not self.bn_epsilon > 0:
            raise InputError(f"`bn_epsilon` must be positive. Received: {self.bn_epsilon}")

    @classmethod
    def named(cls, name: str, **changes: Any) -> Architecture:
        """Returns the architecture called `name`, such as `"resnet50"`, with fields replaced."""
        if name not in BLOCK_COUNTS:
            raise unknown_name("backbone", name, BLOCK_COUNTS)
        block, block_counts = BLOCK_COUNTS[name]
        return cls(block, block_counts, **changes)

    @property
    def name(self) -> str:
        """`"resnet50"` and the like for the paper's networks, else by depth, such as `"resnet1202"`.

        If a network of the paper has the same depth, the block counts are appended.
        """
        for name, spec in BLOCK_COUNTS.items():
            if spec == (self.block, self.block_counts):
                return name
        layers = 2 + sum(self.block_counts) * (2 if self.block == BASIC else 3)
        counts = "_".join(map(str, self.block_counts))
        name = f"resnet{layers}"
        return f"{name}_{counts}" if name in BLOCK_COUNTS else name

    @property
    def whole_name(self) -> str:
        """Name of the paper's network that this one is, or is the front of; else as `name`."""
        for name, (block, counts) in BLOCK_COUNTS.items():
            if block == self.block and counts[: len(self.block_counts)] == self.block_counts:
                return name
        return self.name

    @property
    def description(self) -> str:
        """`name`, or of a network that is cut short, such as `"resnet50 up to conv4"`."""
        if self.name != self.whole_name:
            return f"{self.whole_name} up to {self.stages[-1]}"
        return self.name

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of all blocks in order, as in keras.applications: `conv2_block1`, `conv2_block2`, …"""
        return tuple(
            f"{stage}_block{block}"
            for stage, count in zip(self.stages, self.block_counts, strict=True)
            for block in range(1, count + 1)
        )

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of all stages in order: `conv2`, `conv3`, …"""
        return tuple(f"conv{stage}" for stage, _ in enumerate(self.block_counts, start=2))

    def up_to(self, stage: str) -> Architecture:
        """Returns the network that ends with a stage, such as `"conv4"`.

        Raises:
            InputError: It has no such stage.
        """
        if stage not in self.stages:
            raise unknown_name("last_stage", stage, self.stages)
        return dataclasses.replace(
            self, block_counts=self.block_counts[: self.stages.index(stage) + 1]
        )

    @property
    def feature_channels(self) -> int:
        """Channels of the last stage, which is the length of the pooled features."""
        expansion = 1 if self.block == BASIC else 4
        return self.width * 2 ** (len(self.block_counts) - 1) * expansion


def _counts(block_counts: Any) -> tuple[int, ...]:
    is_sequence = isinstance(block_counts, (tuple, list)) and len(block_counts) > 0
    if not is_sequence or any(type(n) is not int or n < 1 for n in block_counts):
        raise InputError(
            "`block_counts` must be one positive block count a stage, such as (2, 2, 2, 2). "
            f"Received: {block_counts!r}"
        )
    return tuple(block_counts)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How images are prepared for a set of weights: from raw RGB pixels (0-255) to the network's input.

    The network's input is `(pixels * scale - mean) / std` with the channels in `channel_order`;
    `mean` and `std` are given in that order.

    Attributes:
        channel_order: `"rgb"` or `"bgr"`.
        scale: Factor on the pixels, applied before the mean is subtracted.
        mean: One value per channel.
        std: One value per channel.
        image_size: Side of the square image at evaluation, in pixels.
        crop_fraction: Side of the centre crop as a fraction of the side of the square that the image was made.
        interpolation: `"bilinear"` or `"bicubic"`, both antialiased.
        resize: How an image is made square: `"crop"` cuts the edges of its longer side off, `"squash"` changes its aspect
            ratio, `"letterbox"` puts grey beside it.
        value_range: Values of 16-bit and float greys that become 0 and 255; what lies beyond is clipped. None: all that
            16 bits can hold, and 0 to 1.
    """

    channel_order: str = "rgb"
    scale: float = 1 / 127.5
    mean: tuple[float, float, float] = (1.0, 1.0, 1.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    image_size: int = 224
    crop_fraction: float = 1.0
    interpolation: str = "bilinear"
    resize: str = CROP
    value_range: ValueRange | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_range", as_value_range(self.value_range))
        object.__setattr__(self, "mean", tuple(float(m) for m in self.mean))
        object.__setattr__(self, "std", tuple(float(s) for s in self.std))
        if self.channel_order not in ("rgb", "bgr"):
            raise unknown_name("channel order", self.channel_order, ("rgb", "bgr"))
        if self.interpolation not in ("bilinear", "bicubic"):
            raise unknown_name("interpolation", self.interpolation, ("bilinear", "bicubic"))
        if self.resize not in RESIZES:
            raise unknown_name("way to resize", self.resize, RESIZES)
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:
            raise InputError(
                "`mean` and `std` must hold three numbers, and no standard deviation may be 0. "
                f"Received: mean={self.mean}, std={self.std}"
            )
        if self.image_size < 8:
            raise InputError(f"`image_size` must be at least 8 pixels. Received: {self.image_size}")
        if not 0 < self.crop_fraction <= 1:
            raise InputError(
                f"`crop_fraction` must be over 0 and at most 1. Received: {self.crop_fraction}"
            )


# The mean and standard deviation of ImageNet's training pixels, as torchvision and timm use them;
# "caffe" is what keras.applications' ResNets were trained with.
PREPROCESSING: dict[str, Preprocessing] = {
    "rescale": Preprocessing(),
    "imagenet": Preprocessing(
        scale=1 / 255,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        crop_fraction=0.875,
    ),
    "caffe": Preprocessing(
        channel_order="bgr",
        scale=1.0,
        mean=(103.939, 116.779, 123.68),
        crop_fraction=0.875,
    ),
}


@dataclasses.dataclass(frozen=True)
class WeightSpec:
    """One set of weights: the network that it fits, its preprocessing, and where it comes from.

    Attributes:
        name: Its name in the catalogue, or the path that it was read from.
        architecture: The network that the weights fit.
        preprocessing: How images must be prepared, or None if the source does not say.
        class_names: Labels of the original head, in order; empty if there is no head or they are unknown.
        classes: Outputs of the original head; 0 if the source holds no head.
        trained_on: The data that the weights were learned from.
        top1: Published top-1 accuracy on the data it was trained for, from 0 to 1.
        licence: Licence of the weights.
        sha256: Checksum of the file, if it is fixed.
        source: Where to get it: `"shipped"`, `"hf://…"`, `"keras.applications"`, `"keras-hub:…"` or
            `"npm:…"`; empty for a file.
        filename: Name under which its authors publish the file.
        hard_labels: Whether it was learned by cross-entropy on one class an image, without label smoothing, MixUp and the
            like. Smoothed labels are better on ImageNet, and worse where layers stay frozen (Kornblith et al. 2021, "Why do
            better loss functions lead to less transferable features?"). False where the source does not say.

    Examples:
        >>> weights = tl.list_weights()[0]
        >>> weights.name, weights.architecture.name, weights.licence
        ('digits', 'resnet18', 'Apache-2.0; learned from MNIST (CC BY-SA 3.0)')
        >>> weights.preprocessing.image_size
        32
    """

    name: str
    architecture: Architecture
    preprocessing: Preprocessing | None = None
    class_names: tuple[str, ...] = ()
    classes: int = 0
    trained_on: str = ""
    top1: float | None = None
    licence: str = ""
    sha256: str | None = None
    source: str = ""
    filename: str | None = None
    hard_labels: bool = False

    @property
    def forbids_commercial_use(self) -> bool:
        """Whether the licence is a non-commercial one of Creative Commons."""
        return "-nc" in self.licence.lower()

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> WeightSpec:
        """Returns the record that `to_json` wrote."""
        values = dict(values)
        values["architecture"] = Architecture(**values["architecture"])
        if values.get("preprocessing") is not None:
            values["preprocessing"] = Preprocessing(**values["preprocessing"])
        values["class_names"] = tuple(values.get("class_names", ()))
        return cls(**values)
