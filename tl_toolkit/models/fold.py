"""Networks for inference alone: normalisation folded into convolutions, weights as constants."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_args

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.errors import unknown_name
from tl_toolkit.models.deep_graph import recursion_room
from tl_toolkit.models.flipped_views import MeanOfViews
from tl_toolkit.recipe import ServePrecision

ENGINE_PRECISIONS = get_args(ServePrecision)
FLOAT32_LAYERS = (  # the head, always
    keras.layers.Dense,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Concatenate,
    MeanOfViews,
)


def inference_engine(
    model: keras.Model, precision: str | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that computes a model's outputs at inference, without variables.

    With scale = γ / √(σ² + ε), BN(conv(x)) is conv with kernel · scale (x), plus β − μ · scale; computed in
    float64 and rounded once. Where a convolution has other followers, or a bias or an activation of its
    own, it stays as it is, and so does its normalisation. All variables become constants: later changes of
    the model do not reach the function. float32 outputs differ from the model's only by rounding.

    Args:
        model: Functional, each layer called once, such as `assemble_classifier` or `cut_model` makes it.
        precision: `"float32"` or `"bfloat16"` of convolutions and activations; pooling and head are
            float32. None: that of the model's layers.

    Returns:
        A function from a batch of the model's input to its output; call it within a `tf.function`.

    Raises:
        InputError: The precision is unknown.
    """
    if precision not in (None, *ENGINE_PRECISIONS):
        raise unknown_name("precision", precision, ENGINE_PRECISIONS)
    given, wanted = id(model.input), id(model.output)
    steps = _steps(model, precision)

    # One graph, whoever calls: a SavedModel's endpoints hold the constants once.
    @tf.function(
        input_signature=[tf.TensorSpec(tuple(model.input.shape), tf.float32)], autograph=False
    )
    def run(images: tf.Tensor) -> tf.Tensor:
        found = {given: images}
        for step in steps:
            inputs = [found[tensor] for tensor in step.inputs]
            found[step.output] = step.compute(inputs)
        return found[wanted]

    return run


def copy_in(model: keras.Model, precision: str) -> keras.Model:
    """Returns a copy of a functional model that computes in that precision."""
    with recursion_room(len(model.layers)):
        copy = keras.models.clone_model(
            model, clone_function=lambda layer: _layer_in(layer, precision)
        )
    copy.set_weights(model.get_weights())
    return copy


@dataclasses.dataclass(frozen=True)
class _Step:
    """One layer of the graph.

    Attributes:
        inputs: Ids of the model's tensors that it takes.
        output: Id of the one that it makes.
        compute: From the inputs' values to the output's.
    """

    inputs: tuple[int, ...]
    output: int
    compute: Callable[[list[tf.Tensor]], tf.Tensor]


def _steps(model: keras.Model, precision: str | None) -> list[_Step]:
    """Returns what computes every layer, in the model's own order."""
    normalisation_of = folded_pairs(model)
    folded = {layer.name for layer in normalisation_of.values()}
    steps = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        compute: Callable[[list[tf.Tensor]], tf.Tensor]
        if layer.name in folded:
            compute = _unchanged
        elif layer.name in normalisation_of:
            compute = _folded_convolution(layer, normalisation_of[layer.name], precision)
        else:
            compute = _with_constants(layer, precision)
        inputs = tuple(id(tensor) for tensor in inputs_of(layer))
        steps.append(_Step(inputs, id(layer.output), compute))
    return steps


def inputs_of(layer: keras.layers.Layer) -> Sequence[keras.KerasTensor]:
    """Returns the tensors of the graph that a layer, which is called once, takes."""
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _unchanged(inputs: list[tf.Tensor]) -> tf.Tensor:
    return inputs[0]


def _folded_convolution(
    layer: keras.layers.Conv2D,
    normalisation: keras.layers.BatchNormalization,
    precision: str | None,
) -> Callable[[list[tf.Tensor]], tf.Tensor]:
    """Returns the convolution with the batch normalisation behind it folded into kernel and bias.

    The bias is added by an operation that TensorFlow fuses into the convolution.
    """
    scale, shift = scale_and_shift(normalisation)
    dtype = _compute_dtype(layer, precision)
    kernel = np.asarray(layer.kernel.numpy(), np.float64) * scale
    constants = [_captured(value.astype(np.float32), dtype) for value in (kernel, shift)]

    def compute(inputs: list[tf.Tensor]) -> tf.Tensor:
        images = layer.convolution_op(tf.cast(inputs[0], dtype), constants[0])
        return tf.nn.bias_add(tf.convert_to_tensor(images), constants[1])

    return compute


def _with_constants(
    layer: keras.layers.Layer, precision: str | None
) -> Callable[[list[tf.Tensor]], tf.Tensor]:
    """Returns what the layer computes at inference, by Keras' own code, with constants for variables."""
    served = layer
    if precision is not None and layer.compute_dtype != _compute_dtype(layer, precision):
        served = _layer_in(layer, precision)
        shapes = [tensor.shape for tensor in inputs_of(layer)]
        served.build(shapes if len(shapes) > 1 else shapes[0])
    values = [_captured(variable.numpy()) for variable in layer.variables]
    takes_training = "training" in inspect.signature(layer.call).parameters
    options = {"training": False} if takes_training else {}

    def compute(inputs: list[tf.Tensor]) -> tf.Tensor:
        with keras.StatelessScope(state_mapping=list(zip(served.variables, values, strict=True))):
            return served(inputs if len(inputs) > 1 else inputs[0], **options)

    return compute


def _captured(value: np.ndarray, dtype: str | None = None) -> tf.Tensor:
    """Returns a tensor that graphs take from outside.

    A constant within would be copied with every function that calls the engine, and be optimised with it at the
    first call: seconds for a ResNet-50, which is then no faster.
    """
    with tf.init_scope():
        constant = tf.constant(value)
        return constant if dtype is None else tf.cast(constant, dtype)


def _layer_in(layer: keras.layers.Layer, precision: str) -> keras.layers.Layer:
    config = layer.get_config()
    if not isinstance(layer, keras.layers.InputLayer):
        policy = "mixed_bfloat16" if _compute_dtype(layer, precision) == "bfloat16" else "float32"
        config["dtype"] = policy
    return type(layer).from_config(config)


def _compute_dtype(layer: keras.layers.Layer, precision: str | None) -> str:
    if precision is None:
        return layer.compute_dtype
    return "float32" if isinstance(layer, FLOAT32_LAYERS) else precision


def folded_pairs(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Returns the normalisation to fold by the name of the convolution that it follows."""
    outputs = {id(model_output) for model_output in model.outputs}
    made_by = {id(layer.output): layer for layer in model.layers}
    uses: dict[int, int] = {}
    for layer in model.layers:
        for tensor in inputs_of(layer):
            uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    pairs = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        before = made_by.get(id(layer.input))
        if (
            before is not None
            and type(before) is keras.layers.Conv2D
            and not before.use_bias
            and before.activation is keras.activations.linear
            and uses[id(before.output)] == 1
            and id(before.output) not in outputs
        ):
            pairs[before.name] = layer
    return pairs


def scale_and_shift(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns what it multiplies by and adds at inference, float64[channels] each."""

    def value(variable: Any, default: float) -> Any:
        return default if variable is None else np.asarray(variable.numpy(), np.float64)

    deviation = np.sqrt(value(layer.moving_variance, 1.0) + layer.epsilon)
    scale = value(layer.gamma, 1.0) / deviation
    return scale, value(layer.beta, 0.0) - value(layer.moving_mean, 0.0) * scale
