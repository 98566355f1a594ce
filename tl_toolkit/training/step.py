"""One training step and one pass of evaluation, under any `tf.distribute` strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

Predictor = Callable[[Iterable], tuple[np.ndarray, np.ndarray]]


class TrainingStep:
    """Forward, backward and update for one batch, traced once.

    Args:
        model: Images to logits; its trainable variables are trained.
        optimizer: Built for them.
        label_smoothing: From 0 to under 1.
        distribute: The strategy in whose scope model and optimizer were made.
        input_signature: Of (images, labels, weights), so that batches of two sizes are traced once; None:
            each shape is traced as it comes.

    Attributes:
        loss: Mean of the epoch so far, a `keras.metrics.Mean`.
        top1: Accuracy of the epoch so far.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        label_smoothing: float,
        distribute: tf.distribute.Strategy,
        input_signature: Sequence[tf.TensorSpec] | None = None,
    ) -> None:
        self._distribute = distribute
        trained = model.trainable_variables
        with distribute.scope():
            self.loss = keras.metrics.Mean(name="loss")
            self.top1 = keras.metrics.SparseCategoricalAccuracy(name="top1")

        def replica_step(images, labels, weights):
            with tf.GradientTape() as tape:
                logits = model(images, training=True)
                losses = cross_entropy(logits, labels, label_smoothing) * weights
                # Gradients are summed over replicas: divide by the global batch.
                loss = tf.reduce_mean(losses) / distribute.num_replicas_in_sync
                scaled_loss = optimizer.scale_loss(loss)
            optimizer.apply(tape.gradient(scaled_loss, trained), trained)
            self.loss.update_state(losses)
            self.top1.update_state(labels, logits)
            return loss

        @tf.function(input_signature=input_signature, reduce_retracing=input_signature is None)
        def step(images, labels, weights):
            losses = distribute.run(replica_step, args=(images, labels, weights))
            return distribute.reduce("SUM", losses, axis=None)

        self._step = step

    def __call__(self, batch) -> float:
        """Trains on (images, labels, weights) and returns the batch's loss."""
        return float(self._step(*batch))

    def reset_metrics(self) -> None:
        """Starts an epoch."""
        self.loss.reset_state()
        self.top1.reset_state()

    @property
    def metric_variables(self) -> list:
        """Variables of the running epoch's figures."""
        return [*self.loss.variables, *self.top1.variables]


def cross_entropy(logits, labels, label_smoothing: float):
    """Cross-entropy of each example in float32, with smoothed labels (Szegedy et al. 2016).

    Args:
        logits: float[batch, classes].
        labels: int64[batch].
        label_smoothing: Share of a label that is spread over all classes.

    Returns:
        float32[batch].
    """
    logits = tf.cast(logits, tf.float32)
    classes = logits.shape[-1]
    targets = tf.one_hot(labels, classes) * (1 - label_smoothing) + label_smoothing / classes
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def make_predictor(model: keras.Model) -> Predictor:
    """Returns a function from evaluation batches to (float32[n, classes] logits, int64[n] labels)."""

    @tf.function(input_signature=[tf.TensorSpec(tuple(model.input.shape), tf.float32)])
    def logits_of(images):
        return tf.cast(model(images, training=False), tf.float32)

    def predict(batches: Iterable) -> tuple[np.ndarray, np.ndarray]:
        parts = [(logits_of(images).numpy(), labels.numpy()) for images, labels in batches]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    return predict
