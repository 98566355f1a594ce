"""The schedule has the shape that it says, and weight decay leaves scales and biases alone."""

import numpy as np
import pytest
from keras.src.backend.tensorflow.optimizer import TFOptimizer
from tiny import classifier, hyperparameters, values

from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.strategies import FullFineTune, NewHead
from tl_toolkit.training import optimizers
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.transfer.plan import apply_plan, make_plan


def prepared(strategy=None, bn_mode="affine"):
    model = classifier()
    apply_plan(model, make_plan(model, strategy or FullFineTune(), bn_mode))
    return model


def rates(optimizer, steps):
    schedule = optimizer._learning_rate
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_learning_rate_rises_linearly_and_falls_along_half_a_cosine(optimizer):
    # 100 steps, of which 20 rise.
    schedule = hyperparameters(
        optimizer=optimizer, learning_rate=0.4, epochs=10, steps_per_epoch=10, warmup_steps=20
    )
    made = make_optimizer(prepared(NewHead()), schedule)
    actual = rates(made, [0, 1, 10, 20, 40, 60, 80, 100, 120])
    falling = [0.2 * (1 + np.cos(np.pi * share)) for share in (0, 0.25, 0.5, 0.75, 1)]
    np.testing.assert_allclose(actual, [0, 0.02, 0.2, *falling, 0], atol=1e-7)
    assert falling[:3:2] == pytest.approx([0.4, 0.2])


def test_without_warm_up_the_learning_rate_starts_at_its_peak():
    schedule = hyperparameters(learning_rate=0.4, epochs=2, steps_per_epoch=2, warmup_steps=0)
    actual = rates(make_optimizer(prepared(NewHead()), schedule), range(5))
    np.testing.assert_allclose(actual, [0.4, 0.341421, 0.2, 0.058579, 0], atol=1e-6)


def test_the_last_step_of_a_run_still_trains():
    schedule = hyperparameters(learning_rate=0.4, epochs=10, steps_per_epoch=10, warmup_steps=10)
    (last,) = rates(make_optimizer(prepared(NewHead()), schedule), [99])
    assert last == pytest.approx(0.2 * (1 + np.cos(np.pi * 89 / 90)), rel=1e-3)
    assert last > 0


def test_the_optimizers_learning_rate_follows_its_steps():
    model = prepared(NewHead())
    schedule = hyperparameters(learning_rate=0.4, epochs=1, steps_per_epoch=4, warmup_steps=2)
    optimizer = make_optimizer(model, schedule)
    seen = []
    for _ in range(5):
        seen.append(float(optimizer.learning_rate))
        optimizer.apply([np.zeros(v.shape, np.float32) for v in model.trainable_variables])
    np.testing.assert_allclose(seen, [0, 0.2, 0.4, 0.2, 0], atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_a_step_without_gradient_shrinks_the_kernels_alone(weight_decay, optimizer):
    model = prepared()
    made = make_optimizer(
        model, hyperparameters(optimizer=optimizer, learning_rate=0.1, weight_decay=weight_decay)
    )
    before = values(model)
    made.apply([np.zeros(v.shape, np.float32) for v in model.trainable_variables])
    kernels = 0
    for path, value in values(model).items():
        if path.endswith("/kernel"):
            kernels += 1
            np.testing.assert_allclose(value, before[path] * (1 - 0.1 * weight_decay), rtol=1e-6)
        else:
            assert value.tobytes() == before[path].tobytes(), path
    assert kernels == 7
    untouched = [v for v in model.trainable_variables if not v.path.endswith("/kernel")]
    assert len(untouched) == 2 * 6 + 1


def test_sgd_has_nesterov_momentum_of_nine_tenths():
    model = prepared(NewHead())
    optimizer = make_optimizer(model, hyperparameters(learning_rate=0.1, epochs=1000))
    before = model.get_layer("predictions").bias.numpy()
    gradients = [np.ones(v.shape, np.float32) for v in model.trainable_variables]
    optimizer.apply(gradients)
    # m = -0.1 g; the step is 0.9 m - 0.1 g.
    np.testing.assert_allclose(
        model.get_layer("predictions").bias.numpy() - before, [-0.19] * 3, rtol=1e-4
    )


def test_adamw_takes_a_first_step_of_the_learning_rate():
    model = prepared(NewHead())
    optimizer = make_optimizer(model, hyperparameters(optimizer="adamw", learning_rate=0.01))
    before = model.get_layer("predictions").bias.numpy()
    optimizer.apply([np.full(v.shape, -3.0, np.float32) for v in model.trainable_variables])
    np.testing.assert_allclose(
        model.get_layer("predictions").bias.numpy() - before, [0.01] * 3, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("strategy", "bn_mode", "count"),
    [(NewHead(), "frozen", 2), (FullFineTune(), "frozen", 8), (FullFineTune(), "adapt", 20)],
    ids=str,
)
def test_the_optimizer_is_built_for_what_is_trained(strategy, bn_mode, count):
    model = prepared(strategy, bn_mode)
    optimizer = make_optimizer(model, hyperparameters())
    assert optimizer.built
    assert len(model.trainable_variables) == count
    assert len(optimizer.variables) == 1 + count  # the steps, and a momentum each
    scales = [layer.gamma for layer in model.layers if isinstance(layer, BatchNormalization)]
    assert len(scales) == 6


def test_gradients_are_not_added_up_twice_where_keras_does_it_in_an_unknown_way(monkeypatch):
    monkeypatch.delattr(TFOptimizer, "_all_reduce_sum_gradients")
    make_optimizer(prepared(), hyperparameters())  # on one device there is nothing to add up
    monkeypatch.setattr(optimizers, "_replicas", lambda: 2)
    with pytest.raises(
        RuntimeError, match=r"added up twice: train on one device, or with Keras 3\.15"
    ):
        make_optimizer(prepared(), hyperparameters())
