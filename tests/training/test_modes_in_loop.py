"""What a plan says of batch normalisation holds in the loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from tiny import batches, classifier, hyperparameters, labelled_pixels, values

from tl_toolkit.strategies import FullFineTune, LastLayers, NewHead
from tl_toolkit.training.loop import Schedule, train
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.step import TrainingStep, cross_entropy, make_predictor
from tl_toolkit.transfer.plan import (
    FIXED,
    FROZEN,
    STATE,
    TRAINED,
    UPDATED,
    apply_plan,
    fingerprints,
    make_plan,
    verify_plan,
)

MOMENTUM = 0.75
CASES = [
    (FullFineTune(), "adapt"),
    (FullFineTune(), "affine"),
    (FullFineTune(), "frozen"),
    (LastLayers("conv3"), "affine"),
    (NewHead(), "frozen"),
    (LastLayers("conv3"), "adapt"),
    (LastLayers("conv3"), "frozen"),
]


def train_for(strategy, bn_mode, epochs=2, steps=2):
    """Trains a tiny classifier, with validation, as a run does; returns the values before and after."""
    model = classifier()
    plan = make_plan(model, strategy, bn_mode)
    apply_plan(model, plan, bn_momentum=MOMENTUM)
    before, kept = values(model), fingerprints(model, plan)
    optimizer = make_optimizer(
        model,
        hyperparameters(
            epochs=epochs, steps_per_epoch=steps, learning_rate=0.05, weight_decay=0.01
        ),
    )
    predict = make_predictor(model)
    unlabelled = batches(count=6, seed=99).map(lambda images, labels, _: (images, labels))
    at_validation = []

    def validate():
        at_validation.append(values(model))
        predict(unlabelled)
        return {}, [len(at_validation)]

    moving = set(plan.paths(TRAINED, UPDATED, STATE))
    progress = train(
        model,
        TrainingStep(model, optimizer, 0.1, tf.distribute.get_strategy()),
        optimizer,
        [v for v in model.variables if v.path in moving],
        lambda epoch, step: batches(count=4 * epochs * steps).skip(epoch * steps + step),
        Schedule(epochs, steps),
        validate,
        None,
        {},
    )
    assert progress.best_epoch == epochs - 1
    assert verify_plan(model, plan, kept) == len(plan.paths(FROZEN, FIXED))
    return plan, before, values(model), at_validation[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "bn_mode"), long_after(5, CASES), ids=str)
def test_what_the_plan_moves_moves_and_nothing_else(strategy, bn_mode):
    plan, before, after, at_validation = train_for(strategy, bn_mode)
    moved = {path for path in before if after[path].tobytes() != before[path].tobytes()}
    assert moved == set(plan.paths(TRAINED, UPDATED))
    statistics = {path for path in moved if "/moving_" in path}
    trained_layers = {"conv3": 3, "all": 6}[
        "all" if isinstance(strategy, FullFineTune) else "conv3"
    ]
    assert len(statistics) == (2 * trained_layers if bn_mode == "adapt" else 0)
    scales = {path for path in moved if path.endswith(("/gamma", "/beta"))}
    assert len(scales) == (0 if bn_mode == "frozen" else 2 * trained_layers)
    # Validation is inference: the weights that it saw are the ones that were kept.
    assert all(after[path].tobytes() == at_validation[path].tobytes() for path in after)


@pytest.mark.slow
def test_statistics_follow_their_batches_with_the_plans_momentum():
    _, before, after, _ = train_for(FullFineTune(), "adapt", epochs=1, steps=1)
    model = classifier()
    images, *_ = labelled_pixels(4)
    convolution = keras.Model(model.input, model.get_layer("conv1_conv").output)(images).numpy()
    mean, variance = convolution.mean(axis=(0, 1, 2)), convolution.var(axis=(0, 1, 2))
    for name, batch in (("moving_mean", mean), ("moving_variance", variance)):
        path = f"conv1_bn/{name}"
        expected = MOMENTUM * before[path] + (1 - MOMENTUM) * batch
        np.testing.assert_allclose(after[path], expected, rtol=1e-5, atol=1e-6)
        assert np.abs(after[path] - before[path]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "bn_mode"), long_after(3, CASES), ids=str)
def test_the_loss_in_training_is_that_of_inference_where_statistics_are_fixed(strategy, bn_mode):
    model = classifier()
    apply_plan(model, make_plan(model, strategy, bn_mode))
    images, labels, weights = labelled_pixels(6)
    inference = float(tf.reduce_mean(cross_entropy(model(images, training=False), labels, 0.0)))
    step = TrainingStep(
        model, make_optimizer(model, hyperparameters()), 0.0, tf.distribute.get_strategy()
    )
    difference = abs(step((images, labels, weights)).loss - inference)
    assert (difference > 1e-2) if bn_mode == "adapt" else (difference < 1e-5)
