"""Networks for inference alone: normalisation folded into convolutions, weights as constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.errors import unknown_name
from tl_toolkit.models.deep_graph import recursion_room
from tl_toolkit.recipe import ServePrecision

ENGINE_PRECISIONS = get_args(ServePrecision)


@keras.saving.register_keras_serializable(package="tl_toolkit")
class FoldedConvolution(keras.layers.Conv2D):
    """A convolution that the batch normalisation behind it is folded into.

    Its bias is added by an operation that TensorFlow fuses into the convolution.
    """

    def call(self, inputs: Any) -> tf.Tensor:
        outputs = tf.convert_to_tensor(self.convolution_op(inputs, self.kernel))
        return tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))


def inference_engine(
    model: keras.Model, precision: str | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that computes a model's outputs at inference, without variables.

    Batch normalisation is folded into the convolutions, and all other variables become constants: later
    changes of the model do not reach the function. float32 outputs differ from the model's only by rounding.

    Args:
        model: Functional, such as `assemble_classifier` or `cut_model` makes it.
        precision: `"float32"` or `"bfloat16"` of convolutions and activations; pooling and head are
            float32. None: that of the model's layers.

    Returns:
        A function from a batch of the model's input to its output; call it within a `tf.function`.

    Raises:
        InputError: The precision is unknown.
    """
    folded = fold_batch_norm(model, precision)
    values = [
        [variable.numpy() for variable in variables]
        for variables in (folded.trainable_variables, folded.non_trainable_variables)
    ]

    # One graph, whoever calls: a SavedModel's endpoints hold the constants once.
    @tf.function(input_signature=[tf.TensorSpec(tuple(model.input.shape), tf.float32)])
    def run(images: tf.Tensor) -> tf.Tensor:
        trainable, others = ([tf.constant(value) for value in part] for part in values)
        return folded.stateless_call(trainable, others, images, training=False)[0]

    return run


def fold_batch_norm(model: keras.Model, precision: str | None = None) -> keras.Model:
    """Returns a copy in which every convolution followed by a batch normalisation is one layer.

    With scale = γ / √(σ² + ε), BN(conv(x)) is conv with kernel · scale (x), plus β − μ · scale; computed in
    float64 and rounded once. Where a convolution has other followers, or a bias or an activation of its
    own, it stays as it is, and so does its normalisation.

    Args:
        model: Functional.
        precision: See `inference_engine`.
    """
    return _copy(model, precision, _folded_pairs(model))


def copy_in(model: keras.Model, precision: str) -> keras.Model:
    """Returns a copy of a functional model that computes in that precision."""
    return _copy(model, precision, {})


def _copy(
    model: keras.Model,
    precision: str | None,
    normalisation_of: dict[str, keras.layers.BatchNormalization],
) -> keras.Model:
    if precision not in (None, *ENGINE_PRECISIONS):
        raise unknown_name("precision", precision, ENGINE_PRECISIONS)
    folded = {layer.name for layer in normalisation_of.values()}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = {**layer.get_config(), **_dtype(layer, precision)}
        if layer.name in normalisation_of:
            return FoldedConvolution.from_config({**config, "use_bias": True})
        return type(layer).from_config(config)

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in folded else layer(*args, **kwargs)

    with recursion_room(len(model.layers)):
        copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.name in normalisation_of:
            kernel = np.asarray(layer.get_weights()[0], np.float64)
            scale, shift = _scale_and_shift(normalisation_of[layer.name])
            copy.get_layer(layer.name).set_weights([kernel * scale, shift])
        elif layer.name not in folded and layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _folded_pairs(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Returns the normalisation to fold by the name of the convolution that it follows."""
    outputs = {id(model_output) for model_output in model.outputs}
    made_by = {id(layer.output): layer for layer in model.layers}
    uses: dict[int, int] = {}
    for layer in model.layers:
        for tensor in layer.input if isinstance(layer.input, list) else [layer.input]:
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


def _dtype(layer: keras.layers.Layer, precision: str | None) -> dict[str, str]:
    if precision is None:
        return {}
    is_head = isinstance(layer, (keras.layers.Dense, keras.layers.GlobalAveragePooling2D))
    return {"dtype": "mixed_bfloat16" if precision == "bfloat16" and not is_head else "float32"}


def _scale_and_shift(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    def value(variable: Any, default: float) -> Any:
        return default if variable is None else np.asarray(variable.numpy(), np.float64)

    deviation = np.sqrt(value(layer.moving_variance, 1.0) + layer.epsilon)
    scale = value(layer.gamma, 1.0) / deviation
    return scale, value(layer.beta, 0.0) - value(layer.moving_mean, 0.0) * scale
