"""The ResNet family: two blocks and one builder.

Layer names are those of keras.applications. No convolution has a bias: batch normalisation, between
convolution and activation, would subtract it again, and has its own β.

Reference: He et al. 2015, "Deep Residual Learning for Image Recognition".
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import keras
from keras import KerasTensor

from tl_toolkit.catalog import (
    BASIC,
    BOTTLENECK,
    IMAGENET_STEM,
    V1,
    V1_5,
    Architecture,
)
from tl_toolkit.errors import InputError
from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.models.deep_graph import recursion_room

# With fewer input channels oneDNN's filter gradient of a strided 1x1 convolution crashes the process
# once the batch size changes (TensorFlow 2.21); every second pixel is taken by pooling there instead.
FEWEST_STRIDED_CHANNELS = 16


_KERNELS_FOLLOW = contextvars.ContextVar("kernels_follow", default=False)


@contextlib.contextmanager
def kernels_follow() -> Iterator[None]:
    """Convolutions built in here begin at 0: whoever builds them assigns all their kernels.

    Random ones would take four fifths of the time in which a ResNet-50 is built. Layers' configurations stay the usual ones.
    """
    token = _KERNELS_FOLLOW.set(True)
    try:
        yield
    finally:
        _KERNELS_FOLLOW.reset(token)


def convolution(
    x: KerasTensor, filters: int, kernel_size: int, stride: int, name: str
) -> KerasTensor:
    """Convolution without bias, padded alike on all sides, as PyTorch pads.

    At stride 1 Keras' "same" is symmetric already; at stride 2 it is not, so the padding is explicit.
    """
    padding = "same"
    if kernel_size == 1 and stride > 1 and x.shape[-1] < FEWEST_STRIDED_CHANNELS:
        x = keras.layers.MaxPooling2D(1, stride, name=f"{name}_subsample")(x)
        stride = 1
    if stride > 1:
        padding = "valid"
        if kernel_size > 1:
            x = keras.layers.ZeroPadding2D((kernel_size - 1) // 2, name=f"{name}_pad")(x)
    layer = keras.layers.Conv2D(
        filters,
        kernel_size,
        stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )
    if not _KERNELS_FOLLOW.get():
        return layer(x)
    usual, layer.kernel_initializer = layer.kernel_initializer, keras.initializers.Zeros()
    x = layer(x)
    layer.kernel_initializer = usual
    return x


def normalisation(
    x: KerasTensor, epsilon: float, name: str, gamma_initializer: str = "ones"
) -> KerasTensor:
    """Batch normalisation over the channels."""
    return BatchNormalization(
        epsilon=epsilon, gamma_initializer=gamma_initializer, name=f"{name}_bn"
    )(x)


def residual_block(
    x: KerasTensor,
    block: str,
    filters: int,
    stride: int,
    projection: bool,
    name: str,
    *,
    variant: str = V1_5,
    epsilon: float = 1e-5,
    zero_init_residual: bool = False,
) -> KerasTensor:
    """One residual block: relu(branch(x) + shortcut(x)).

    Args:
        x: float[batch, height, width, channels].
        block: `"basic"` or `"bottleneck"`.
        filters: Filters of the inner convolutions; a bottleneck puts out four times as many.
        stride: 1, or 2 to halve height and width.
        projection: Whether the shortcut is a 1x1 convolution (dashed line in the paper) or the
            identity (solid line).
        name: Prefix of all layer names, such as `"conv3_block1"`.
        variant: `"v1"` strides the first 1x1 of a bottleneck, `"v1.5"` its 3x3.
        epsilon: ε of the batch normalisations.
        zero_init_residual: Start γ of the last batch normalisation at 0, so that the block starts as
            its shortcut (Goyal et al. 2017, section 5.1).

    Raises:
        InputError: The shortcut is the identity and its shape is not the branch's.
    """
    if block == BASIC:
        layout = [(filters, 3, stride), (filters, 3, 1)]
    else:
        first, second = (stride, 1) if variant == V1 else (1, stride)
        layout = [(filters, 1, first), (filters, 3, second), (4 * filters, 1, 1)]

    shortcut = x
    if projection:
        shortcut = convolution(x, layout[-1][0], 1, stride, f"{name}_0")
        shortcut = normalisation(shortcut, epsilon, f"{name}_0")

    for index, (channels, kernel_size, conv_stride) in enumerate(layout, start=1):
        is_last = index == len(layout)
        x = convolution(x, channels, kernel_size, conv_stride, f"{name}_{index}")
        gamma = "zeros" if is_last and zero_init_residual else "ones"
        x = normalisation(x, epsilon, f"{name}_{index}", gamma_initializer=gamma)
        if not is_last:
            x = keras.layers.Activation("relu", name=f"{name}_{index}_relu")(x)

    if tuple(shortcut.shape) != tuple(x.shape):
        raise InputError(
            f"Block {name!r} cannot add its shortcut {tuple(shortcut.shape)} to its branch "
            f"{tuple(x.shape)}: the shapes must be equal. Build it with projection=True."
        )
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.Activation("relu", name=f"{name}_out")(x)


def stem(x: KerasTensor, architecture: Architecture) -> KerasTensor:
    """The layers before the first block: conv1, and max pooling in the ImageNet form."""
    if architecture.stem == IMAGENET_STEM:
        x = convolution(x, architecture.width, 7, 2, "conv1")
    else:
        x = convolution(x, architecture.width, 3, 1, "conv1")
    x = normalisation(x, architecture.bn_epsilon, "conv1")
    x = keras.layers.Activation("relu", name="conv1_relu")(x)
    if architecture.stem == IMAGENET_STEM:
        # The padding of 0 is never the maximum of a window alone: after ReLU nothing is below it.
        x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = keras.layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    return x


def block_layout(architecture: Architecture) -> list[tuple[str, int, int, bool]]:
    """Returns (name, filters, stride, projection) of every block, first to last.

    A stage's first block projects where the shape changes: from conv3 on in every network, and in
    conv2 where a bottleneck widens 64 channels to 256.
    """
    layout = []
    for stage, count in enumerate(architecture.block_counts):
        for index in range(count):
            is_first = index == 0
            layout.append(
                (
                    f"conv{stage + 2}_block{index + 1}",
                    architecture.width * 2**stage,
                    2 if is_first and stage > 0 else 1,
                    is_first and (stage > 0 or architecture.block == BOTTLENECK),
                )
            )
    return layout


def build_resnet(
    architecture: Architecture,
    *,
    include_top: bool = True,
    input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
    zero_init_residual: bool = False,
) -> keras.Model:
    """Builds a ResNet on preprocessed images.

    Args:
        architecture: What to build.
        include_top: Whether global average pooling and a dense layer of `classes` outputs follow.
        input_tensor: Keras tensor to build on; a new `keras.Input` where None.
        input_shape: (height, width, channels) of the new input; sides may be None. By default
            (224, 224, 3) with the top and (None, None, 3) without.
        pooling: Without the top: None (the last feature map), `"avg"` or `"max"`.
        classes: Outputs of the dense layer.
        classifier_activation: Its activation; None for logits.
        name: Of the model; by default the architecture's.
        zero_init_residual: See `residual_block`.

    Returns:
        A model from float[batch, height, width, 3] to float[batch, classes], or to
        float[batch, height / 32, width / 32, channels], or pooled to float[batch, channels].

    Raises:
        InputError: An argument is not as described.
    """
    _check_arguments(input_tensor, input_shape, pooling, classes)
    if input_tensor is None:
        default = (224, 224, 3) if include_top else (None, None, 3)
        inputs = keras.Input(tuple(input_shape or default), name="input")
    else:
        inputs = input_tensor

    with recursion_room(sum(architecture.block_counts)):
        x = stem(inputs, architecture)
        for block_name, filters, stride, projection in block_layout(architecture):
            x = residual_block(
                x,
                architecture.block,
                filters,
                stride,
                projection,
                block_name,
                variant=architecture.variant,
                epsilon=architecture.bn_epsilon,
                zero_init_residual=zero_init_residual,
            )
        if include_top:
            x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
            x = keras.layers.Dense(
                classes, activation=classifier_activation, dtype=logits_dtype(), name="predictions"
            )(x)
        elif pooling == "avg":
            x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        elif pooling == "max":
            x = keras.layers.GlobalMaxPooling2D(name="max_pool")(x)
        if input_tensor is not None:
            sources = keras.utils.get_source_inputs(input_tensor)
            inputs = sources[0] if len(sources) == 1 else sources
        return keras.Model(inputs, x, name=name or architecture.name)


def logits_dtype() -> str:
    """Returns the last layer's dtype: float32 under any policy that computes in less."""
    return "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"


def _check_arguments(
    input_tensor: KerasTensor | None,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    classes: int,
) -> None:
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "Images must be channels_last (batch, height, width, channels); "
            f"keras.config.image_data_format() is {keras.config.image_data_format()!r}. Call "
            'keras.config.set_image_data_format("channels_last").'
        )
    if input_tensor is not None and input_shape is not None:
        raise InputError(
            "Give `input_tensor` or `input_shape`, not both: the tensor has its shape."
        )
    if input_shape is not None and (len(input_shape) != 3 or input_shape[-1] is None):
        raise InputError(
            "`input_shape` must be (height, width, channels), where the sides may be None. "
            f"Received: {input_shape}"
        )
    if pooling not in (None, "avg", "max"):
        raise InputError(f"`pooling` must be None, 'avg' or 'max'. Received: {pooling!r}")
    if classes < 1:
        raise InputError(f"`classes` must be at least 1. Received: {classes}")
