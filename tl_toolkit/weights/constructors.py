"""`tl.ResNet50(weights=…)` and the other constructors, which take keras.applications' arguments."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tl_toolkit.catalog import BLOCK_COUNTS, Architecture
from tl_toolkit.models.resnet import build_resnet, kernels_follow
from tl_toolkit.weights.load import load_source
from tl_toolkit.weights.resolve import open_weights


def ResNet(  # noqa: N802  named like the builders of keras.applications
    block_counts: Sequence[int],
    block: str,
    include_top: bool = True,
    weights: str | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
    *,
    variant: str | None = None,
    width: int = 64,
    stem: str = "imagenet",
    bn_epsilon: float | None = None,
    zero_init_residual: bool = False,
) -> keras.Model:
    """Builds a ResNet of any depth for preprocessed images, and loads weights.

    Args:
        block_counts: Blocks in each stage, such as (3, 4, 6, 3).
        block: `"basic"` (two 3x3 convolutions) or `"bottleneck"` (1x1, 3x3, 1x1).
        include_top: Whether global average pooling and a dense layer of `classes` outputs follow.
        weights: None for random values, or what `tl.load_weights` takes, such as `"imagenet"`.
        input_tensor: Keras tensor to build on. None: a new `keras.Input`.
        input_shape: (height, width, 3) of the new input; sides may be None. By default (224, 224, 3)
            with the top and (None, None, 3) without.
        pooling: Without the top: None (the last feature map), `"avg"` or `"max"`.
        classes: Outputs of the dense layer.
        classifier_activation: Activation of the dense layer; None for logits.
        name: Name of the model.
        variant: `"v1"` (a stage's stride in the first 1x1: He et al. 2015, keras.applications) or
            `"v1.5"` (in the 3x3: torchvision, timm, KerasHub). None: what the weights need, else v1.5.
        width: Filters of the first stage.
        stem: `"imagenet"` (7x7, stride 2, then max pooling) or `"cifar"` (3x3, stride 1).
        bn_epsilon: ε of batch normalisation. None: what the weights need, else 1e-5.
        zero_init_residual: Start γ of each block's last batch normalisation at 0.

    Returns:
        A `keras.Model` from float[batch, height, width, 3], preprocessed as the weights need it, to
        float[batch, classes], or to features without the top.

    Raises:
        InputError: An argument is not as described, or the weights do not fit.

    Examples:
        >>> model = tl.ResNet(
        ...     (1, 1, 1), "basic", width=8, stem="cifar", input_shape=(32, 32, 3), classes=5
        ... )
        >>> model.output_shape
        (None, 5)
    """
    known = Architecture(block, tuple(block_counts))
    source = open_weights(weights, known.name) if weights is not None else None
    usual = source.spec.architecture if source is not None and source.spec is not None else known
    architecture = Architecture(
        block,
        tuple(block_counts),
        variant=usual.variant if variant is None else variant,
        width=width,
        stem=stem,
        bn_epsilon=usual.bn_epsilon if bn_epsilon is None else bn_epsilon,
    )
    with contextlib.nullcontext() if source is None else kernels_follow():
        model = build_resnet(
            architecture,
            include_top=include_top,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
            zero_init_residual=zero_init_residual,
        )
    if source is not None:
        load_source(model, source)
    return model


def _constructor(name: str, public_name: str) -> Callable[..., keras.Model]:
    block, block_counts = BLOCK_COUNTS[name]

    def constructor(
        include_top: bool = True,
        weights: str | None = None,
        input_tensor: Any = None,
        input_shape: tuple[int | None, int | None, int] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: str | None = "softmax",
        name: str | None = None,
        **options: Any,
    ) -> keras.Model:
        return ResNet(
            block_counts,
            block,
            include_top,
            weights,
            input_tensor,
            input_shape,
            pooling,
            classes,
            classifier_activation,
            name,
            **options,
        )

    constructor.__name__ = constructor.__qualname__ = public_name
    constructor.__doc__ = (
        f"Builds {public_name.replace('ResNet', 'ResNet-')}: {block} blocks, {block_counts} of them. "
        "All arguments are those of `tl.ResNet`, without `block_counts` and `block`.\n\n"
        # `python -OO` leaves docstrings out.
        + (ResNet.__doc__ or "").partition("\n\n")[2].partition("    Examples:")[0].rstrip()
    )
    return constructor


ResNet18 = _constructor("resnet18", "ResNet18")
"""Builds ResNet-18: basic blocks, (2, 2, 2, 2) of them. All arguments are those of `tl.ResNet`, without `block_counts` and `block`.

Examples:
    >>> tl.ResNet18(include_top=False, pooling="avg").output_shape
    (None, 512)
"""
ResNet34 = _constructor("resnet34", "ResNet34")
"""Builds ResNet-34: basic blocks, (3, 4, 6, 3) of them. All arguments are those of `tl.ResNet`, without `block_counts` and `block`.

Examples:
    >>> tl.ResNet34(classes=5).layers[-1].name  # names are those of keras.applications
    'predictions'
"""
ResNet50 = _constructor("resnet50", "ResNet50")
"""Builds ResNet-50: bottleneck blocks, (3, 4, 6, 3) of them. All arguments are those of `tl.ResNet`, without `block_counts` and `block`.

Examples:
    >>> backbone = tl.ResNet50(include_top=False, pooling="avg")
    >>> backbone.output_shape
    (None, 2048)
"""
ResNet101 = _constructor("resnet101", "ResNet101")
"""Builds ResNet-101: bottleneck blocks, (3, 4, 23, 3) of them. All arguments are those of `tl.ResNet`, without `block_counts` and `block`.

Examples:
    >>> tl.ResNet101(include_top=False, input_shape=(224, 224, 3)).output_shape
    (None, 7, 7, 2048)
"""
ResNet152 = _constructor("resnet152", "ResNet152")
"""Builds ResNet-152: bottleneck blocks, (3, 8, 36, 3) of them. All arguments are those of `tl.ResNet`, without `block_counts` and `block`.

Examples:
    >>> tl.ResNet152(include_top=False, input_shape=(224, 224, 3), width=16).output_shape
    (None, 7, 7, 512)
"""
