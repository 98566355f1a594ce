"""Statistics of what batch normalisation layers are given, in any Keras model, without changing it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import ADAPT, FROZEN
from tl_toolkit.errors import InputError
from tl_toolkit.models.batch_norm import BatchNormalization


@dataclasses.dataclass(frozen=True)
class InputStatistics:
    """Of one layer's input, by channel, over all images and their places.

    Attributes:
        mean: float64[channels].
        variance: float64[channels], the population's: around the mean of all images, not of each batch.
        mean_error: float64[channels], standard error of the mean: it comes from so many images and no more.
        variance_error: float64[channels], standard error of the variance.
        images: From how many images.
    """

    mean: np.ndarray
    variance: np.ndarray
    mean_error: np.ndarray
    variance_error: np.ndarray
    images: int


def batch_norm_layers(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Returns every batch normalisation of a model by name, those of models within it under `model/layer`.

    Raises:
        InputError: There are none; or some are in a layer that is not a model, where they cannot be found.
    """
    if not model.built:
        raise InputError("The model has no variables yet: call it on a batch of images first.")
    found = dict(_layers_of(model))
    owned = {id(variable) for layer in found.values() for variable in layer.variables}
    hidden = [
        variable.path
        for variable in model.variables
        if variable.name == "moving_variance" and id(variable) not in owned
    ]
    if hidden:
        raise InputError(
            f"These statistics are in a layer that is not a model, and cannot be measured: {', '.join(hidden[:5])}. "
            "Build the model from layers, or from models in it."
        )
    if not found:
        raise InputError(f"The model {model.name!r} has no batch normalisation.")
    return found


def _layers_of(
    model: keras.Model, prefix: str = ""
) -> Iterator[tuple[str, keras.layers.BatchNormalization]]:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield prefix + layer.name, layer
        elif isinstance(layer, keras.Model):
            yield from _layers_of(layer, f"{prefix}{layer.name}/")


def mode_of(layer: keras.layers.BatchNormalization) -> str:
    """Returns the mode that the layer acts in; Keras' own layer adapts unless it is not trainable."""
    if isinstance(layer, BatchNormalization):
        return layer.effective_mode
    return ADAPT if layer.trainable else FROZEN


class StatisticsReader:
    """Runs a model on batches and sums up what its batch normalisations are given.

    The model is called as in evaluation: dropout is off, and no variable, generator or flag of it changes.

    Args:
        model: Any built Keras model.
        by_batch: The layers, by the names of `batch_norm_layers`, that normalise by their batch's statistics, as
            in training, and leave their moving ones alone; the others use their moving statistics.
    """

    def __init__(self, model: keras.Model, by_batch: Collection[str] = ()) -> None:
        self._layers = batch_norm_layers(model)
        self._sums: dict[str, np.ndarray] = {}

        shape = getattr(model, "input_shape", None)
        signature = None
        if isinstance(shape, tuple) and all(isinstance(side, int | None) for side in shape):
            signature = [tf.TensorSpec((None, *shape[1:]), tf.float32)]

        @tf.function(input_signature=signature, reduce_retracing=signature is None, autograph=False)
        def read(images: tf.Tensor) -> tuple[Any, dict[str, tf.Tensor]]:
            sums: dict[str, tf.Tensor] = {}
            with contextlib.ExitStack() as replaced:
                for name, layer in self._layers.items():
                    call = _observed_call(layer, name, sums, name in by_batch)
                    replaced.enter_context(_replaced_call(layer, call))
                return model(images, training=False), sums

        # Traced at once: TensorFlow would warn of functions that are made again and again.
        self._read = read if signature is None else read.get_concrete_function()

    def __call__(self, images: Any) -> np.ndarray:
        """Counts a batch.

        Args:
            images: float32[batch, height, width, 3], as the model takes them.

        Returns:
            The model's outputs, float32[batch, …].
        """
        outputs, sums = self._read(tf.convert_to_tensor(images, tf.float32))
        if unused := set(self._layers) - set(sums):
            raise InputError(f"The model does not run these layers: {', '.join(sorted(unused))}.")
        for name, values in sums.items():
            self._sums[name] = self._sums.get(name, 0) + values.numpy()
        return tf.cast(outputs, tf.float32).numpy()

    def statistics(self) -> dict[str, InputStatistics]:
        """Returns, by layer, the statistics of its inputs in all batches so far."""
        if not self._sums:
            raise InputError("There are no images to measure batch normalisation on.")
        return {name: _statistics(sums) for name, sums in self._sums.items()}


def read_statistics(
    model: keras.Model, batches: Iterable[Any], by_batch: Collection[str] = ()
) -> dict[str, InputStatistics]:
    """Returns the statistics of every batch normalisation's input; see `StatisticsReader`."""
    reader = StatisticsReader(model, by_batch)
    for images in batches:
        reader(images)
    return reader.statistics()


@contextlib.contextmanager
def _replaced_call(layer: keras.Layer, call: Callable[..., Any]) -> Iterator[None]:
    # Not by setattr: Keras and TensorFlow would track what they are given.
    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")


def _observed_call(
    layer: keras.layers.BatchNormalization, name: str, sums: dict[str, tf.Tensor], by_batch: bool
) -> Callable[..., tf.Tensor]:
    original = layer.call

    @functools.wraps(original)
    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if mask is not None:
            raise InputError(f"{name!r} is given a mask: statistics under masks are not measured.")
        x = tf.convert_to_tensor(inputs)
        found = _sums_of(x, _channel_axis(layer, x))
        sums[name] = sums[name] + found if name in sums else found
        return _normalise_by_batch(layer, x) if by_batch else original(inputs, training=False)

    return call


def _channel_axis(layer: keras.layers.BatchNormalization, x: tf.Tensor) -> int:
    return layer.axis % len(x.shape)


def _sums_of(x: tf.Tensor, channel_axis: int) -> tf.Tensor:
    """Returns float64[6, channels]: images, and the sums of their means, of their second moments, of the squares of
    both and of their product.

    Over an image's places in float32 around its own mean, over images in float64.
    """
    x = x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
    places = [axis for axis in range(1, len(x.shape)) if axis != channel_axis]
    mean, variance = tf.nn.moments(x, places) if places else (x, tf.zeros_like(x))
    mean, variance = tf.cast(mean, tf.float64), tf.cast(variance, tf.float64)
    second = variance + mean**2
    return tf.stack(
        [
            tf.reduce_sum(part, axis=0)
            for part in (tf.ones_like(mean), mean, second, mean**2, second**2, mean * second)
        ]
    )


def _normalise_by_batch(layer: keras.layers.BatchNormalization, x: tf.Tensor) -> tf.Tensor:
    inputs = x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
    axis = _channel_axis(layer, x)
    axes = [a for a in range(len(x.shape)) if a != axis]
    mean, variance = tf.nn.moments(inputs, axes, keepdims=True)
    shape = [-1 if a == axis else 1 for a in range(len(x.shape))]
    scale = tf.math.rsqrt(variance + layer.epsilon)
    if layer.gamma is not None:
        scale *= tf.reshape(tf.cast(layer.gamma, inputs.dtype), shape)
    y = (inputs - mean) * scale
    if layer.beta is not None:
        y += tf.reshape(tf.cast(layer.beta, inputs.dtype), shape)
    return tf.cast(y, layer.compute_dtype)


@np.errstate(invalid="ignore", over="ignore")  # whoever asks is told that they are not finite
def _statistics(sums: np.ndarray) -> InputStatistics:
    images = sums[0]
    mean, second, squared_mean, squared_second, product = sums[1:] / images
    of_means = squared_mean - mean**2
    # Of each image's second moment around the mean of all: its own, less 2 · mean of all · its mean.
    of_seconds = squared_second - second**2
    of_variances = of_seconds + 4 * mean**2 * of_means - 4 * mean * (product - mean * second)
    return InputStatistics(
        mean=mean,
        variance=np.maximum(second - mean**2, 0),
        mean_error=np.sqrt(np.maximum(of_means, 0) / images),
        variance_error=np.sqrt(np.maximum(of_variances, 0) / images),
        images=int(images[0]),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class RecomputedLayer:
    """What `recompute_batch_norm` did to a layer.

    Attributes:
        layer: Its name.
        mean_before, variance_before: float32[channels], its moving statistics as they were.
        mean, variance: float32[channels], as they are.
        mean_moved: Median over channels of |new - old mean| in new standard deviations.
        variance_moved: Median over channels of |log(new / old variance)|, ε added to both.
    """

    layer: str
    mean_before: np.ndarray
    variance_before: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    mean_moved: float
    variance_moved: float


def assign_statistics(
    layers: dict[str, keras.layers.BatchNormalization],
    found: dict[str, InputStatistics],
    names: Sequence[str],
) -> tuple[RecomputedLayer, ...]:
    """Gives layers the statistics that were found as their moving ones; all of them, or none.

    Raises:
        InputError: Some are not finite.
    """
    broken = [
        n for n in names if not np.isfinite([found[n].mean, found[n].variance]).all()
    ]  # before any is assigned
    if broken:
        raise InputError(
            f"The inputs of {broken[0]!r} are not finite on these images: nothing was changed."
        )
    results = []
    for name in names:
        layer = layers[name]
        before = layer.moving_mean.numpy(), layer.moving_variance.numpy()
        layer.moving_mean.assign(found[name].mean)
        layer.moving_variance.assign(found[name].variance)
        after = layer.moving_mean.numpy(), layer.moving_variance.numpy()
        mean_moved, variance_moved = gaps(*before, *after, layer.epsilon)
        results.append(
            RecomputedLayer(
                name,
                *before,
                *after,
                float(np.median(mean_moved)),
                float(np.median(variance_moved)),
            )
        )
    return tuple(results)


def gaps(
    moving_mean: Any, moving_variance: Any, mean: Any, variance: Any, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns, by channel, |moving mean - mean| in standard deviations, and |log(moving variance / variance)|.

    ε is added to every variance, as the layer does: what it normalises away is no gap.
    """
    moving = np.asarray(moving_variance, np.float64) + epsilon
    own = np.asarray(variance, np.float64) + epsilon
    difference = np.asarray(moving_mean, np.float64) - np.asarray(mean, np.float64)
    return np.abs(difference) / np.sqrt(own), np.abs(np.log(moving / own))
