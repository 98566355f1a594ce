"""One training step and one pass of evaluation, under any `tf.distribute` strategy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.models.batch_norm import counted_examples
from tl_toolkit.training.by_variable import take_first_values
from tl_toolkit.training.several_labels import binary_cross_entropy, shares_right
from tl_toolkit.training.weight_average import WeightAverage

TOP1, LABEL_ACCURACY = "top1", "label_accuracy"
Predictor = Callable[[Iterable], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What a step found, over all replicas of all processes.

    Attributes:
        loss_sum: Of the examples' weighted losses.
        correct: Examples whose class the logits named; of a mixed example, the class with the larger share. Of images
            with several labels, the sum of the shares of them that are right.
        examples: How many there were.
        stop: Whether a process was asked to stop, by each of the reasons that it was told.
    """

    loss_sum: float
    correct: float
    examples: float
    stop: tuple[bool, ...]

    @property
    def loss(self) -> float:
        """The batch's mean loss."""
        return self.loss_sum / self.examples


class TrainingStep:
    """Forward, backward and update for one batch, traced once.

    The gradients are those of the mean over the whole batch, however it is spread over replicas; one that
    has no share of a batch takes part with none.

    Attributes:
        optimizer: The one that it was made with.
        average: Of the weights; None: none is kept.
        accuracy: What the correct ones come to in the history, `"top1"` or `"label_accuracy"`.

    Args:
        model: Images to logits; its trainable variables are trained.
        optimizer: Built for them by `make_optimizer`.
        label_smoothing: From 0 to under 1.
        distribute: The strategy in whose scope model and optimizer were made.
        input_signature: Of (images, labels, weights) on one replica, so that batches of two sizes are traced
            once; None: each shape is traced as it comes.
        average: Follows the weights.
        several: Whether an image may have several labels, each a question of its own.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        label_smoothing: float,
        distribute: tf.distribute.Strategy,
        input_signature: Sequence[tf.TensorSpec] | None = None,
        average: WeightAverage | None = None,
        several: bool = False,
    ) -> None:
        self.optimizer = optimizer
        self.accuracy = LABEL_ACCURACY if several else TOP1
        self.average = average
        trained = model.trainable_variables

        is_shared = distribute.num_replicas_in_sync > 1

        def replica_step(
            images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, stop: tf.Tensor
        ) -> tf.Tensor:
            all_reduce = tf.distribute.get_replica_context().all_reduce
            size = tf.shape(labels)[0]
            examples = all_examples = tf.cast(size, tf.float64)
            if is_shared:
                all_examples = all_reduce("SUM", examples)
                images, labels, weights = _at_least_one((images, labels, weights), size)
            with tf.GradientTape() as tape, counted_examples(size):
                logits = model(images, training=True)
                loss_of_labels = binary_cross_entropy if several else cross_entropy
                losses = loss_of_labels(logits, labels, label_smoothing)
                losses *= tf.cast(weights, losses.dtype)
                loss = tf.reduce_sum(losses) / tf.cast(all_examples, losses.dtype)
                scaled_loss = optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled_loss, trained)
            optimizer.apply(all_reduce("SUM", gradients) if is_shared else gradients, trained)
            if several:
                correct = tf.reduce_sum(shares_right(logits, labels, weights)[:size])
            else:
                right = tf.argmax(logits, axis=-1) == _main_labels(labels, weights)
                correct = tf.math.count_nonzero(right[:size])
            figures = (tf.reduce_sum(losses), correct, examples)
            return tf.concat([[tf.cast(f, tf.float64) for f in figures], stop], axis=0)

        if input_signature is not None:
            input_signature = [
                _distributed_signature(input_signature, distribute),
                tf.TensorSpec([None], tf.float64),
            ]

        @tf.function(
            input_signature=input_signature,
            reduce_retracing=input_signature is None,
            autograph=False,
        )
        def step(batch: tuple, stop: tf.Tensor) -> tf.Tensor:
            figures = distribute.run(replica_step, args=(*batch, stop))
            if average is not None:
                average.follow()
            return distribute.reduce("SUM", figures, axis=None)

        self._step = step
        self._first_state = [variable.numpy() for variable in optimizer.variables]

    @property
    def state(self) -> list[keras.Variable]:
        """What a checkpoint needs in addition to the model's variables."""
        return [*self.optimizer.variables, *(self.average.variables if self.average else [])]

    def start_again(self) -> None:
        """Puts everything that training leaves behind back to the first step of one from the model's weights."""
        for variable, value in zip(self.optimizer.variables, self._first_state, strict=True):
            variable.assign(value)
        take_first_values(self.optimizer)
        if self.average is not None:
            self.average.start_again()

    def __call__(self, batch: Sequence[Any], stop: Sequence[bool] = ()) -> StepResult:
        """Trains on (images, labels, weights).

        Args:
            batch: Each replica's share: float32[batch, size, size, 3] or activations, int64[batch], float32[batch];
                of examples that are mixed of two images, labels and weights are [batch, 2], and an example's loss
                is the sum over its labels. Of images with several labels both are [batch, labels] or [batch, 2, labels],
                the labels uint8.
            stop: Reasons for which this process is asked to stop, told to all processes.
        """
        figures = self._step(tuple(batch), np.array(stop, np.float64)).numpy()
        loss_sum, correct, examples = figures[:3].tolist()
        return StepResult(loss_sum, correct, examples, tuple(bool(s) for s in figures[3:]))


def _at_least_one(batch: Sequence[tf.Tensor], size: tf.Tensor) -> list[tf.Tensor]:
    """A batch, or in place of none at all one image that weighs nothing: oneDNN cannot convolve none."""
    missing = tf.cast(size == 0, tf.int32)
    return [tf.pad(part, [[0, missing], *[[0, 0]] * (len(part.shape) - 1)]) for part in batch]


def _main_labels(labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns int64[batch], of examples with two labels that with the larger weight."""
    if labels.shape.rank == 1:
        return labels
    return tf.gather(labels, tf.argmax(weights, axis=-1), batch_dims=1)


def _distributed_signature(
    signature: Sequence[tf.TensorSpec], distribute: tf.distribute.Strategy
) -> tuple[tf.TypeSpec, ...]:
    """The signature of a batch that is spread over replicas; over one it is its own."""
    if distribute.num_replicas_in_sync == 1:  # to ask takes as long as to build the optimizer
        return tuple(signature)
    none = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=tuple(signature))
    return tuple(distribute.distribute_datasets_from_function(lambda _: none).element_spec)


def cross_entropy(logits: Any, labels: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    """Cross-entropy of each label in float32 or better, with smoothed labels (Szegedy et al. 2016).

    Args:
        logits: float[batch, classes].
        labels: int64[batch], or int64[batch, 2] of examples that are mixed of two images.
        label_smoothing: Share of a label that is spread over all classes.

    Returns:
        float32 of the labels' shape; float64 for logits in float64.
    """
    logits, labels = tf.convert_to_tensor(logits), tf.convert_to_tensor(labels)
    if logits.dtype != tf.float64:
        logits = tf.cast(logits, tf.float32)
    classes = logits.shape[-1]
    targets = tf.one_hot(labels, classes, dtype=logits.dtype)
    targets = targets * (1 - label_smoothing) + label_smoothing / classes
    if labels.shape.rank == 2:
        logits = tf.repeat(logits[:, None], labels.shape[1], axis=1)
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def make_predictor(
    model: keras.Model, distribute: tf.distribute.Strategy | None = None
) -> Predictor:
    """Returns a function from evaluation batches to (float32[n, classes] logits, their labels as they come).

    Args:
        model: Images to logits.
        distribute: A strategy whose replicas share every batch, and all get all logits: its processes have
            to call the function with the same batches. None: this process alone.
    """

    def logits_of_share(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(images, training=False), tf.float32)

    if distribute is not None and distribute.num_replicas_in_sync > 1:
        compute = _shared_computation(logits_of_share, distribute)
    else:
        signature = [tf.TensorSpec(tuple(model.input.shape), tf.float32)]
        compute = tf.function(logits_of_share, input_signature=signature, autograph=False)

    def predict(batches: Iterable) -> tuple[np.ndarray, np.ndarray]:
        parts = [(compute(images).numpy(), labels.numpy()) for images, labels in batches]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    return predict


def _shared_computation(
    logits_of_share: Callable[[tf.Tensor], tf.Tensor], distribute: tf.distribute.Strategy
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that shares a batch out over the replicas and gives all of them all logits."""
    replicas = distribute.num_replicas_in_sync

    @tf.function(reduce_retracing=True, autograph=False)
    def logits_of_shares(shares: Any) -> tf.Tensor:
        # Gathered in the graph: outside of one, TensorFlow traces a function every time.
        return distribute.gather(distribute.run(logits_of_share, (shares,)), axis=0)

    def shared_logits_of(images: tf.Tensor) -> tf.Tensor:
        # Every replica needs an image: the last one again, whose logits are left out.
        padding = [images[-1]] * max(replicas - len(images), 0)
        shares = np.array_split(np.concatenate([images, padding]) if padding else images, replicas)
        per_replica = distribute.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group])
        )
        return logits_of_shares(per_replica)[: len(images)]

    return shared_logits_of
