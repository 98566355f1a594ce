"""What the toolkit knows about architectures, preprocessing and weights, as data. No TensorFlow."""

from __future__ import annotations

from tl_toolkit.catalog.augmentations import (
    AUGMENTATIONS,
    Augmentation,
    AugmentationName,
    augmentation_named,
)
from tl_toolkit.catalog.imagenet import imagenet_weights
from tl_toolkit.catalog.names import (
    ADAPT,
    AFFINE,
    ALL_BLOCKS,
    BASIC,
    BLOCKS,
    BN_MODES,
    BOTTLENECK,
    CIFAR_STEM,
    CROP,
    FEATURES,
    FLIPS,
    FROZEN,
    GRADIENT,
    HEAD_PLACES,
    IMAGENET_STEM,
    LBFGS,
    LETTERBOX,
    LOGITS,
    NO_VIEWS,
    RESIZES,
    SPLIT_ALIASES,
    SPLITS,
    SQUASH,
    STEMS,
    TEST,
    TRAIN,
    TTAS,
    V1,
    V1_5,
    VALIDATION,
    VARIANTS,
    BNMode,
    On,
    OnBadImage,
    Resize,
    Solver,
    Tta,
)
from tl_toolkit.catalog.records import (
    BLOCK_COUNTS,
    PREPROCESSING,
    Architecture,
    Preprocessing,
    WeightSpec,
)
from tl_toolkit.catalog.value_range import ValueRange, as_value_range
from tl_toolkit.errors import unknown_name

__all__ = [
    "ADAPT",
    "AFFINE",
    "ALL_BLOCKS",
    "AUGMENTATIONS",
    "BASIC",
    "BLOCKS",
    "BLOCK_COUNTS",
    "BN_MODES",
    "BOTTLENECK",
    "CATALOG",
    "CIFAR_STEM",
    "CROP",
    "FEATURES",
    "FLIPS",
    "FROZEN",
    "GRADIENT",
    "HEAD_PLACES",
    "IMAGENET_STEM",
    "LBFGS",
    "LETTERBOX",
    "LOGITS",
    "NO_VIEWS",
    "PREPROCESSING",
    "RESIZES",
    "SPLITS",
    "SPLIT_ALIASES",
    "SQUASH",
    "STEMS",
    "TEST",
    "TRAIN",
    "TTAS",
    "V1",
    "V1_5",
    "VALIDATION",
    "VARIANTS",
    "Architecture",
    "Augmentation",
    "AugmentationName",
    "BNMode",
    "On",
    "OnBadImage",
    "Preprocessing",
    "Resize",
    "Solver",
    "Tta",
    "ValueRange",
    "WeightSpec",
    "as_value_range",
    "augmentation_named",
    "list_weights",
]

CATALOG: dict[str, WeightSpec] = {
    spec.name: spec
    for spec in (
        # Made by recipes/pretrain.py; top-1 on 500 MNIST digits that it did not learn from.
        WeightSpec(
            name="digits",
            architecture=Architecture.named("resnet18", width=16, stem="cifar"),
            preprocessing=Preprocessing(image_size=32),
            class_names=tuple("0123456789"),
            classes=10,
            trained_on="4,500 MNIST digits",
            top1=0.992,
            licence="Apache-2.0; learned from MNIST (CC BY-SA 3.0)",
            sha256="35220edf4fdb2258335573bd2ebe5fe43b40c1101e535765aaef607f78ea8726",
            source="shipped",
            filename="digits.safetensors",
        ),
        *imagenet_weights(),
    )
}


def list_weights(architecture: str | None = None) -> tuple[WeightSpec, ...]:
    """Returns the weight sets of the catalogue: all, or those of one architecture such as `"resnet18"`.

    Examples:
        >>> best = tl.list_weights("resnet152")[0]
        >>> best.name, best.top1
        ('resnet152.a1h_in1k', 0.828)
    """
    if architecture is not None and architecture not in BLOCK_COUNTS:
        raise unknown_name("backbone", architecture, BLOCK_COUNTS)
    return tuple(
        spec for spec in CATALOG.values() if architecture in (None, spec.architecture.name)
    )
