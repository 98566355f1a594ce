"""The assembled classifier: raw pixels, preprocessing, backbone, head, in one flat graph."""

from __future__ import annotations

import keras

from tl_toolkit.catalog import (
    ALL_BLOCKS,
    BOTTLENECK,
    FEATURES,
    FLIPS,
    HEAD_PLACES,
    LOGITS,
    NO_VIEWS,
    TTAS,
    Architecture,
    Preprocessing,
)
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.models.deep_graph import recursion_room
from tl_toolkit.models.flipped_views import FlippedViews, MeanOfViews
from tl_toolkit.models.preprocessing import ImagePreprocessing
from tl_toolkit.models.resnet import block_layout, build_resnet, logits_dtype

FEATURES_HEAD = "predictions"  # the dense layer in place of the original last one
LOGITS_HEAD = "new_predictions"  # the dense layer on top of the original last one
BLOCKS_HEAD = "block_predictions"  # the dense layer on averages and maxima of all blocks
HEADS = (FEATURES_HEAD, LOGITS_HEAD, BLOCKS_HEAD)
HEAD_OF = dict(zip(HEAD_PLACES, HEADS, strict=True))
BLOCK_FEATURES = "block_features"  # the layer that joins them
MEAN_OF_VIEWS = "mean_of_views"


def assemble_classifier(
    architecture: Architecture,
    preprocessing: Preprocessing,
    classes: int,
    *,
    on: str = FEATURES,
    tta: str = NO_VIEWS,
    original_classes: int = 0,
    zero_init_head: bool = True,
    zero_init_residual: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Builds a classifier that takes raw pixels and gives logits.

    Args:
        architecture: The backbone.
        preprocessing: What its weights need.
        classes: Outputs of the new dense head.
        on: `"features"`, the head replaces the original last layer and sits on the pooled features;
            `"logits"`, it sits on the original last layer's output before the softmax; or `"all_blocks"`, it
            sits on the average and the maximum of every block's output, joined (Evci et al. 2022, "Head2Toe").
        tta: `"none"`; or `"flips"`, the head sits on the mean over an image's four mirror images.
        original_classes: Outputs of the original last layer, for `on="logits"`.
        zero_init_head: Start the head at 0: the first loss is log(classes) and the first gradients into
            the backbone are small. Otherwise Glorot-uniform.
        zero_init_residual: See `tl_toolkit.models.resnet.residual_block`.
        name: Of the model; by default the architecture's.

    Returns:
        A model from float32[batch, height, width, 3] (RGB, 0-255), input `image`, to float32[batch,
        classes], the logits. The new head is `new_head(model)`.

    Raises:
        InputError: An argument is not as described.
    """
    _check_arguments(classes, on, tta, original_classes)
    images = keras.Input((None, None, 3), name="image")
    x = ImagePreprocessing(preprocessing, name="preprocessing")(images)
    if tta == FLIPS:
        x = FlippedViews(name="flipped_views")(x)
    initializer = "zeros" if zero_init_head else "glorot_uniform"
    if on == LOGITS:
        backbone = build_resnet(
            architecture,
            input_tensor=x,
            classes=original_classes,
            classifier_activation=None,
            zero_init_residual=zero_init_residual,
        )
    else:
        backbone = build_resnet(
            architecture,
            include_top=False,
            pooling=None if on == ALL_BLOCKS else "avg",
            input_tensor=x,
            zero_init_residual=zero_init_residual,
        )
    features = _pooled_blocks(backbone, architecture) if on == ALL_BLOCKS else backbone.output
    if tta == FLIPS:
        features = MeanOfViews(dtype=logits_dtype(), name=MEAN_OF_VIEWS)(features)
    logits = keras.layers.Dense(
        classes,
        kernel_initializer=initializer,
        dtype=logits_dtype(),
        name=HEAD_OF[on],
    )(features)
    with recursion_room(sum(architecture.block_counts)):
        return keras.Model(images, logits, name=name or architecture.name)


def _pooled_blocks(backbone: keras.Model, architecture: Architecture) -> keras.KerasTensor:
    """Joins the average and the maximum over all places of every block's output, in float32."""
    pooled = []
    for block, *_ in block_layout(architecture):
        output = backbone.get_layer(f"{block}_out").output
        for kind, layer in (
            ("avg", keras.layers.GlobalAveragePooling2D),
            ("max", keras.layers.GlobalMaxPooling2D),
        ):
            pooled.append(layer(dtype=logits_dtype(), name=f"{block}_{kind}")(output))
    return keras.layers.Concatenate(dtype=logits_dtype(), name=BLOCK_FEATURES)(pooled)


def blocks_of_features(architecture: Architecture) -> list[str]:
    """Returns, of every feature of `on="all_blocks"` in turn, the block that it comes from."""
    widening = 4 if architecture.block == BOTTLENECK else 1
    return [
        block
        for block, filters, *_ in block_layout(architecture)
        for _ in range(2 * filters * widening)
    ]


def new_head(model: keras.Model) -> keras.layers.Dense:
    """Returns the last dense layer of an assembled classifier."""
    return model.get_layer(model.layers[-1].name)


def head_input(model: keras.Model) -> str:
    """Returns the name of the layer that the last dense layer sits on."""
    return model.layers[-2].name


def _check_arguments(classes: int, on: str, tta: str, original_classes: int) -> None:
    if on not in HEAD_PLACES:
        raise unknown_name("place of the head", on, HEAD_PLACES)
    if tta not in TTAS:
        raise unknown_name("test-time view", tta, TTAS)
    if classes < 1:
        raise InputError(f"`classes` must be at least 1. Received: {classes}")
    if on == LOGITS and original_classes < 1:
        raise InputError(
            "`original_classes` must be the outputs of the original last layer, at least 1, where the "
            f"head sits on its logits. Received: {original_classes}"
        )
