"""Every label is a question of its own: the loss is Keras' binary cross-entropy, and a step is the textbook's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from tiny import classifier, labelled_pixels, values

from tl_toolkit.strategies import NewHead
from tl_toolkit.training.several_labels import binary_cross_entropy, shares_right
from tl_toolkit.training.step import LABEL_ACCURACY, TrainingStep
from tl_toolkit.transfer.plan import apply_plan, make_plan


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_keras_binary_cross_entropy(smoothing):
    random = np.random.default_rng(0)
    logits = random.normal(0, 5, (20, 4)).astype(np.float32)
    labels = random.integers(0, 2, (20, 4)).astype(np.uint8)
    expected = keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=smoothing, reduction="none"
    )(labels.astype(np.float32), logits)
    losses = binary_cross_entropy(logits, labels, smoothing)
    assert (losses.dtype, losses.shape) == (tf.float32, (20, 4))
    np.testing.assert_allclose(losses.numpy().sum(1), expected, rtol=1e-5, atol=1e-6)


def test_the_loss_of_a_mixed_example_is_that_of_both_images():
    logits = np.array([[1.0, -2.0]], np.float32)
    pair = np.array([[[1, 0], [1, 1]]], np.uint8)
    losses = binary_cross_entropy(logits, pair, 0.0)
    for image in range(2):
        alone = binary_cross_entropy(logits, pair[:, image], 0.0)
        np.testing.assert_allclose(losses[:, image], alone, rtol=1e-6)


def test_the_share_of_labels_that_are_right_is_of_the_image_that_counts_more():
    logits = np.array([[1.0, -2.0, 3.0, 0.0]], np.float32)
    pair = tf.constant([[[1, 1, 0, 0], [1, 0, 1, 0]]], tf.uint8)
    weights = tf.constant([[[0.3] * 4, [0.7] * 4]])
    assert shares_right(logits, pair, weights).numpy().tolist() == [0.75]
    assert shares_right(logits, pair[:, 0], weights[:, 0]).numpy().tolist() == [0.25]


def test_a_new_head_moves_by_the_gradient_that_can_be_written_down():
    model = classifier(classes=3)
    apply_plan(model, make_plan(model, NewHead(), "frozen"))
    images, _, _ = labelled_pixels(6)
    random = np.random.default_rng(2)
    labels = random.integers(0, 2, (6, 3)).astype(np.uint8)
    weights = random.uniform(0.5, 2, (6, 3)).astype(np.float32)
    features = keras.Model(model.input, model.get_layer("avg_pool").output)(images).numpy()
    before = values(model)
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    step = TrainingStep(model, optimizer, 0.0, tf.distribute.get_strategy(), several=True)
    result = step((images, labels, weights))
    kernel, bias = (before[f"predictions/{name}"] for name in ("kernel", "bias"))
    logits = features @ kernel + bias
    errors = (expit(logits) - labels) * weights / 18
    after = values(model)
    np.testing.assert_allclose(
        after["predictions/kernel"], kernel - 0.1 * features.T @ errors, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        after["predictions/bias"], bias - 0.1 * errors.sum(0), rtol=1e-4, atol=1e-6
    )
    losses = weights * (np.logaddexp(0, logits) - labels * logits)
    assert result.loss == pytest.approx(losses.sum() / 18, rel=1e-5)
    assert result.correct == pytest.approx(((logits >= 0) == labels).mean(1).sum())
    assert step.accuracy == LABEL_ACCURACY
