"""A training step is the step of the textbook, and evaluation leaves everything alone."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from families import long_after
from tiny import assert_same_bits, batches, classifier, labelled_pixels, values

from tl_toolkit.strategies import FullFineTune, LastLayers, NewHead
from tl_toolkit.training.step import (
    TrainingStep,
    _distributed_signature,
    cross_entropy,
    make_predictor,
)
from tl_toolkit.transfer.plan import apply_plan, make_plan


def make_step(model, learning_rate=0.1, label_smoothing=0.0):
    optimizer = keras.optimizers.SGD(learning_rate)
    optimizer.build(model.trainable_variables)
    return TrainingStep(model, optimizer, label_smoothing, tf.distribute.get_strategy())


@pytest.mark.parametrize(
    "strategy", [tf.distribute.get_strategy, lambda: tf.distribute.MirroredStrategy(["CPU:0"])]
)
def test_a_batch_of_one_replica_is_as_its_strategy_hands_it_out(strategy):
    signature = (
        tf.TensorSpec((None, 8, 8, 3), tf.float32),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((None,), tf.float32),
    )
    none = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=signature)
    handed_out = strategy().distribute_datasets_from_function(lambda _: none).element_spec
    assert _distributed_signature(signature, strategy()) == tuple(handed_out)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.75])
@pytest.mark.parametrize("classes", [2, 7])
def test_cross_entropy_is_that_of_keras(classes, smoothing):
    random = np.random.default_rng(0)
    logits = random.normal(0, 5, (20, classes)).astype(np.float32)
    labels = random.integers(0, classes, 20)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing, reduction="none"
    )
    expected = loss(np.eye(classes)[labels], logits)
    losses = cross_entropy(logits, labels, smoothing)
    assert (losses.dtype, losses.shape) == (tf.float32, (20,))
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
    if smoothing == 0:
        sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
        np.testing.assert_allclose(losses, sparse(labels, logits), rtol=1e-5, atol=1e-6)


def test_cross_entropy_of_float64_stays_in_float64():
    losses = cross_entropy(tf.constant([[1.0, 2.0]], tf.float64), [0], 0.1)
    assert losses.dtype == tf.float64
    expected = 0.95 * np.log1p(np.exp(1.0)) + 0.05 * np.log1p(np.exp(-1.0))
    np.testing.assert_allclose(losses, [expected], rtol=1e-14)


def test_cross_entropy_of_half_precision_logits_is_taken_in_float32():
    logits = tf.constant([[9.0, -9.0, 0.5]], tf.bfloat16)
    losses = cross_entropy(logits, [1], 0.0)
    assert losses.dtype == tf.float32
    np.testing.assert_allclose(losses, [18.0 + np.log1p(np.exp(-8.5))], rtol=1e-6)


def test_a_new_head_moves_by_the_gradient_that_can_be_written_down():
    model = classifier(classes=3)
    apply_plan(model, make_plan(model, NewHead(), "frozen"))
    images, labels, _ = labelled_pixels(6)
    weights = np.array([2, 0.5, 1, 2, 0.5, 1], np.float32)
    features = keras.Model(model.input, model.get_layer("avg_pool").output)(images).numpy()
    before = values(model)
    kernel, bias = (before[f"predictions/{name}"] for name in ("kernel", "bias"))
    probabilities = scipy.special.softmax(features @ kernel + bias, axis=-1)

    loss = make_step(model, learning_rate=0.1)((images, labels, weights)).loss

    of_label = probabilities[np.arange(6), labels]
    assert loss == pytest.approx(np.mean(-np.log(of_label) * weights), rel=1e-5)
    error = (probabilities - np.eye(3)[labels]) * weights[:, None] / 6
    after = values(model)
    np.testing.assert_allclose(
        after["predictions/kernel"], kernel - 0.1 * features.T @ error, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        after["predictions/bias"], bias - 0.1 * error.sum(axis=0), rtol=1e-5, atol=1e-6
    )
    assert np.abs(after["predictions/kernel"] - kernel).max() > 1e-3
    head = {"predictions/kernel", "predictions/bias"}
    assert_same_bits(
        {n: v for n, v in after.items() if n not in head},
        {n: v for n, v in before.items() if n not in head},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "bn_mode", "smoothing"),
    long_after(
        3,
        [
            (FullFineTune(), "adapt", 0.2),
            (LastLayers("conv3"), "affine", 0.0),
            (FullFineTune(), "frozen", 0.2),
            (FullFineTune(), "affine", 0.0),
            (LastLayers("conv3"), "adapt", 0.0),
        ],
    ),
    ids=str,
)
def test_an_update_is_the_learning_rate_times_the_gradient_of_the_weighted_mean(
    strategy, bn_mode, smoothing
):
    ours, reference = classifier(), classifier()
    for model in (ours, reference):
        apply_plan(model, make_plan(model, strategy, bn_mode))
    images, labels, _ = labelled_pixels(8)
    weights = np.linspace(0.25, 2, 8, dtype=np.float32)
    trained = reference.trainable_variables
    targets = (np.eye(3)[labels] * (1 - smoothing) + smoothing / 3).astype(np.float32)
    with tf.GradientTape() as tape:
        logits = reference(images, training=True)
        losses = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)
        loss = tf.reduce_mean(losses * weights)
    for variable, gradient in zip(trained, tape.gradient(loss, trained), strict=True):
        assert np.abs(gradient).max() > 0
        variable.assign(variable - 0.05 * gradient)

    result = make_step(ours, 0.05, smoothing)((images, labels, weights)).loss
    assert isinstance(result, float)
    assert result == pytest.approx(float(loss), rel=1e-5)
    expected = values(reference)
    for path, value in values(ours).items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-4, atol=2e-6, err_msg=path)


@pytest.mark.slow
def test_the_figures_of_a_step_are_sums_over_its_examples():
    model = classifier()
    apply_plan(model, make_plan(model, NewHead(), "frozen"))
    step = make_step(model, learning_rate=0.0)
    for count in (5, 3):
        images, labels, _ = labelled_pixels(count, seed=count)
        weights = np.full(count, 0.5, np.float32)
        logits = model(images).numpy()
        losses = 0.5 * np.asarray(cross_entropy(logits, labels, 0.0))
        result = step((images, labels, weights))
        assert result.loss_sum == pytest.approx(losses.sum(), rel=1e-5)
        assert result.loss == pytest.approx(losses.mean(), rel=1e-5)
        assert result.correct == (logits.argmax(axis=-1) == labels).sum()
        assert result.examples == count


@pytest.mark.slow
def test_a_step_tells_what_it_was_told_of_stopping():
    model = classifier()
    apply_plan(model, make_plan(model, NewHead(), "frozen"))
    step = make_step(model)
    for stop in [(), (False, False), (True, False), (False, True)]:
        assert step(labelled_pixels(2), stop).stop == stop


def test_batches_of_another_size_train_on():
    model = classifier()
    apply_plan(model, make_plan(model, NewHead(), "frozen"))
    step = make_step(model)
    results = [step(labelled_pixels(count)) for count in (4, 4, 3, 1, 4)]
    assert results[-1].loss < results[0].loss
    assert sum(result.examples for result in results) == 16


@pytest.mark.parametrize("bn_mode", ["adapt", "affine", "frozen"])
def test_prediction_is_inference_and_moves_nothing(bn_mode):
    model = classifier()
    apply_plan(model, make_plan(model, FullFineTune(), bn_mode))
    data = batches(count=10, batch_size=4)
    expected = np.concatenate([model(images, training=False) for images, *_ in data])
    before = values(model)
    logits, labels = make_predictor(model)(data.map(lambda images, labels, _: (images, labels)))
    assert_same_bits(values(model), before)
    assert (logits.dtype, logits.shape) == (np.float32, (10, 3))
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(labels, labelled_pixels(10)[1])


def test_prediction_follows_the_weights_as_they_are():
    model = classifier()
    data = batches(count=4).map(lambda images, labels, _: (images, labels))
    predict = make_predictor(model)
    first, _ = predict(data)
    model.get_layer("predictions").bias.assign_add([1.0, 0.0, -1.0])
    second, _ = predict(data)
    np.testing.assert_allclose(second - first, np.tile([1.0, 0.0, -1.0], (4, 1)), atol=1e-5)


def mixed_pixels(count=6, seed=0):
    """Images with two labels each, and unequal shares that add up to the examples' weights."""
    random = np.random.default_rng(seed)
    images, labels, _ = labelled_pixels(count, seed=seed)
    pairs = np.stack([labels, (labels + 1 + np.arange(count) % 2) % 3], axis=1)
    share = np.linspace(0.1, 0.9, count)
    weights = np.stack([share, 1 - share], 1) * random.uniform(0.5, 2, (count, 1))
    return images, pairs, weights.astype(np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_two_labels_is_that_of_each(smoothing):
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (9, 4)).astype(np.float32)
    labels = random.integers(0, 4, (9, 2))
    losses = cross_entropy(logits, labels, smoothing)
    assert (losses.dtype, losses.shape) == (tf.float32, (9, 2))
    for column in range(2):
        expected = cross_entropy(logits, labels[:, column], smoothing)
        np.testing.assert_allclose(losses[:, column], expected, rtol=1e-6)


def test_a_mixed_batch_moves_a_head_by_the_gradient_of_its_soft_labels():
    model = classifier(classes=3)
    apply_plan(model, make_plan(model, NewHead(), "frozen"))
    images, labels, weights = mixed_pixels()
    features = keras.Model(model.input, model.get_layer("avg_pool").output)(images).numpy()
    before = values(model)
    kernel, bias = (before[f"predictions/{name}"] for name in ("kernel", "bias"))
    logits = features @ kernel + bias
    targets = np.zeros((6, 3))
    for column in range(2):
        targets[np.arange(6), labels[:, column]] += weights[:, column]
    losses = -(targets * scipy.special.log_softmax(logits, axis=-1)).sum(axis=-1)

    result = make_step(model, learning_rate=0.1)((images, labels, weights))

    assert result.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert result.examples == 6
    main = np.where(weights[:, 0] >= weights[:, 1], *labels.T)
    assert result.correct == (logits.argmax(axis=-1) == main).sum()
    error = (scipy.special.softmax(logits, axis=-1) * weights.sum(1, keepdims=True) - targets) / 6
    np.testing.assert_allclose(
        values(model)["predictions/kernel"], kernel - 0.1 * features.T @ error, rtol=1e-5, atol=1e-6
    )


def test_two_labels_that_are_the_same_are_one():
    batches = labelled_pixels(5), labelled_pixels(5)
    images, labels, weights = batches[1]
    twice = images, np.stack([labels, labels], 1), np.stack([0.25 * weights, 0.75 * weights], 1)
    found = []
    for batch in (batches[0], twice):
        model = classifier()
        apply_plan(model, make_plan(model, NewHead(), "frozen"))
        result = make_step(model)(batch)
        found.append([result.loss, result.correct, values(model)["predictions/kernel"]])
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert found[0][1] == found[1][1]
    np.testing.assert_allclose(found[0][2], found[1][2], atol=1e-6)
