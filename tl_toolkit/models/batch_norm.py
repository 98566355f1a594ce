"""Batch normalisation whose training flag cannot go wrong."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tl_toolkit.catalog import ADAPT, BN_MODES, FROZEN
from tl_toolkit.errors import unknown_name

# What TensorFlow's fused kernel takes; float64 goes through Keras' own arithmetic.
FUSED_DTYPES = ("float32", "float16", "bfloat16")

# Below this, a batch's mean and variance say little of the data's (Wu and He 2018, figure 1).
SMALLEST_BATCH_FOR_STATISTICS = 16

_COUNTING = threading.local()  # a strategy traces its replicas in threads


@contextlib.contextmanager
def counted_examples(count: tf.Tensor) -> Iterator[None]:
    """Within it the first `count` images of a replica's batch make up its share of the statistics.

    For replicas without a share of a batch, which compute on a placeholder image.
    """
    _COUNTING.count = count
    try:
        yield
    finally:
        _COUNTING.count = None


@keras.saving.register_keras_serializable(package="tl_toolkit")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with a mode that says which of its variables move in training.

    For each channel, over batch, height and width: μ = mean(x), σ² = mean((x − μ)²), then
    y = γ · (x − μ) / √(σ² + ε) + β. γ starts at 1 and β at 0; ε keeps the division finite. At
    evaluation μ and σ² are the moving averages that training left behind.

    | mode | μ and σ² in training | moving averages | γ and β |
    |---|---|---|---|
    | `"adapt"` | of the batch | follow | trained |
    | `"affine"` | the moving averages | fixed | trained |
    | `"frozen"` | the moving averages | fixed | fixed |

    The mode outlives `model.trainable = True`. `layer.trainable = False` makes any mode act as frozen.
    Weights, their order, their numbers and entries in `.weights.h5` files are those of Keras' layer, so
    files go both ways. As with `trainable`, a mode changed after a model was compiled takes effect when
    it is compiled again.

    Args:
        axis: As in `keras.layers.BatchNormalization`.
        momentum: Likewise.
        epsilon: Likewise.
        *args: Further arguments of that layer.
        mode: `"adapt"` (what Keras' layer does), `"affine"` or `"frozen"`.
        **kwargs: Likewise; with `synchronized=True`, under a `tf.distribute` strategy, the statistics are those of all
            replicas.

    Input and output: float[batch, channels] or float[batch, height, width, channels]; other ranks work
    through Keras' own arithmetic. float16 and bfloat16 inputs are normalised in float32.

    Raises:
        InputError: `mode` is not one of the three.

    Reference: Ioffe and Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by
    Reducing Internal Covariate Shift".

    Examples:
        >>> layer = tl.BatchNormalization(mode="affine")
        >>> layer.effective_mode
        'affine'
        >>> layer.trainable = False
        >>> layer.effective_mode
        'frozen'
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        *args: Any,
        mode: str = ADAPT,
        **kwargs: Any,
    ) -> None:
        self._mode = _checked_mode(mode)
        super().__init__(axis, momentum, epsilon, *args, **kwargs)

    @property
    def mode(self) -> str:
        """The mode that was set: `"adapt"`, `"affine"` or `"frozen"`."""
        return self._mode

    @mode.setter
    def mode(self, value: str) -> None:
        self._mode = _checked_mode(value)
        self._apply_mode()

    @property
    def effective_mode(self) -> str:
        """The mode as it acts: `"frozen"` where the layer is not trainable, else `mode`."""
        return self._mode if self.trainable else FROZEN

    @property
    def trainable(self) -> bool:
        """Whether the layer may train at all; False makes any mode act as frozen."""
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.BatchNormalization.trainable.fset(self, value)
        self._apply_mode()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self._apply_mode()

    def _apply_mode(self) -> None:
        for variable in (getattr(self, "gamma", None), getattr(self, "beta", None)):
            if variable is not None:
                variable.trainable = self.effective_mode != FROZEN

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        learns_statistics = bool(training) and self.effective_mode == ADAPT
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if learns_statistics and replicas > 1:
            if self.synchronized and mask is None and self._is_plain(inputs):
                return self._normalise_by_all_replicas(inputs)
            if not self.synchronized:
                self._warn_of_small_batches(inputs, replicas)
        if mask is not None or not self._fused_applies(inputs):
            return super().call(inputs, training=learns_statistics, mask=mask)
        if learns_statistics:
            return self._normalise_by_batch(inputs)
        if training:
            return self._scale_and_shift(inputs)
        return self._normalise_by_moving_averages(inputs)

    def _is_plain(self, inputs: Any) -> bool:
        return not self.renorm and self.axis in (-1, len(inputs.shape) - 1)

    def _fused_applies(self, inputs: Any) -> bool:
        return (
            self._is_plain(inputs)
            and len(inputs.shape) in (2, 4)
            and keras.backend.standardize_dtype(inputs.dtype) in FUSED_DTYPES
        )

    def _warn_of_small_batches(self, inputs: Any, replicas: int) -> None:
        size = inputs.shape[0]
        if size is None or size < SMALLEST_BATCH_FOR_STATISTICS:
            warnings.warn(
                f"{self.name!r} learns statistics on each of {replicas} replicas alone, from "
                f"{size or 'an unknown number of'} images: the statistics drift apart. Use synchronized=True, mode="
                f"'affine', or at least {SMALLEST_BATCH_FOR_STATISTICS} images on each.",
                stacklevel=3,
            )

    def _fused(
        self, inputs: Any, mean: Any, variance: Any, is_training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Runs TensorFlow's kernel: output, mean and variance as it computes them."""
        x = tf.convert_to_tensor(inputs)
        channels = x.shape[-1]
        gamma = tf.ones([channels]) if self.gamma is None else _float32(self.gamma)
        beta = tf.zeros([channels]) if self.beta is None else _float32(self.beta)
        is_vector = len(x.shape) == 2
        output = tf.raw_ops.FusedBatchNormV3(
            x=x[:, None, None, :] if is_vector else x,
            scale=gamma,
            offset=beta,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=is_training,
        )
        y = output.y[:, 0, 0, :] if is_vector else output.y
        return tf.cast(y, self.compute_dtype), output.batch_mean, output.batch_variance

    def _normalise_by_batch(self, inputs: Any) -> tf.Tensor:
        y, mean, variance = self._fused(inputs, mean=[], variance=[], is_training=True)
        # The kernel's variance has Bessel's correction n / (n - 1); Keras' moving average has not.
        n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
        variance = variance * (tf.maximum(n - 1.0, 1.0) / n)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(_float32(moving) * self.momentum + batch * (1 - self.momentum))
        return y

    def _normalise_by_all_replicas(self, inputs: Any) -> tf.Tensor:
        """Normalises by the statistics of all replicas, whose shares may differ in size or be empty.

        In two passes: of E[x²] − E[x]², rounding takes more.
        """
        all_reduce = tf.distribute.get_replica_context().all_reduce
        dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
        x = tf.cast(inputs, dtype)
        count = getattr(_COUNTING, "count", None)
        counted = x if count is None else x[:count]
        axes = list(range(len(inputs.shape) - 1))
        size = tf.cast(tf.reduce_prod(tf.shape(counted)[:-1]), dtype)
        sums = all_reduce("SUM", tf.concat([tf.reduce_sum(counted, axes), size[None]], axis=0))
        n = sums[-1]
        mean = sums[:-1] / n
        squares = tf.reduce_sum(tf.math.squared_difference(counted, mean), axes)
        variance = all_reduce("SUM", squares) / n
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(tf.cast(moving, dtype) * self.momentum + batch * (1 - self.momentum))
        scale = tf.math.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            scale = scale * tf.cast(self.gamma, dtype)
        shift = 0.0 if self.beta is None else tf.cast(self.beta, dtype)
        return tf.cast((x - mean) * scale + shift, self.compute_dtype)

    def _normalise_by_moving_averages(self, inputs: Any) -> tf.Tensor:
        return self._fused(
            inputs,
            mean=_float32(self.moving_mean),
            variance=_float32(self.moving_variance),
            is_training=False,
        )[0]

    def _scale_and_shift(self, inputs: Any) -> tf.Tensor:
        # Not the fused kernel: with is_training=False its gradient is not deterministic on a GPU.
        scale = tf.math.rsqrt(_float32(self.moving_variance) + self.epsilon)
        if self.gamma is not None:
            scale = scale * _float32(self.gamma)
        shift = -_float32(self.moving_mean) * scale
        if self.beta is not None:
            shift = shift + _float32(self.beta)
        return tf.cast(tf.cast(inputs, tf.float32) * scale + shift, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self._mode}


def _float32(variable: Any) -> tf.Tensor:
    # Under a policy such as "bfloat16" the variables are in half precision too.
    return tf.cast(tf.convert_to_tensor(variable), tf.float32)


def _checked_mode(mode: str) -> str:
    if mode not in BN_MODES:
        raise unknown_name("BN mode", mode, BN_MODES)
    return mode
