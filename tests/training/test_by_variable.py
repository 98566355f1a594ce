"""A rate scales the step that a variable takes, its decay with it, and nothing else."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from tiny import assert_same_bits, classifier, hyperparameters, labelled_pixels, values

from tl_toolkit.strategies import FullFineTune
from tl_toolkit.training.by_variable import take_first_values
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.step import TrainingStep
from tl_toolkit.transfer.plan import apply_plan, make_plan
from tl_toolkit.transfer.updates import plan_updates

# All rates are powers of two: the learning rates are then products without rounding.
RATES = {"stem": 0.125, "conv2": 0.5, "conv3_block1": 2.0, "head": 1.0}
FIELDS = {"learning_rate": 0.1, "epochs": 10, "steps_per_epoch": 10, "warmup_steps": 0}


def prepared():
    model = classifier()
    apply_plan(model, make_plan(model, FullFineTune(), "affine"))
    return model


def gradients(model, seed):
    random = np.random.default_rng(seed)
    return [random.normal(size=v.shape).astype(np.float32) for v in model.trainable_variables]


def after_steps(steps, **fields):
    model = prepared()
    optimizer = make_optimizer(model, hyperparameters(**{**FIELDS, **fields}))
    for seed in range(steps):
        optimizer.apply(gradients(model, seed))
    return values(model), optimizer


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("weight_decay", long_after(1, [0.5, 0.0]))
def test_a_rate_does_what_that_learning_rate_would_do_bit_for_bit(optimizer, weight_decay):
    fields = {"optimizer": optimizer, "weight_decay": weight_decay}
    before = values(prepared())
    scaled, made = after_steps(2, layer_rates=tuple(RATES.items()), **fields)
    groups = plan_updates(prepared(), hyperparameters(layer_rates=tuple(RATES.items())))
    assert {update.rate for update in groups.values()} == set(RATES.values())
    for rate in RATES.values():
        alone, plain = after_steps(2, **{**fields, "learning_rate": 0.1 * rate})
        assert (
            type(plain) is {"adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}[optimizer]
        )
        assert type(plain) is not type(made)
        of_rate = {path for path, update in groups.items() if update.rate == rate}
        assert_same_bits({p: scaled[p] for p in of_rate}, {p: alone[p] for p in of_rate})
        assert all(np.abs(scaled[path] - before[path]).max() > 1e-3 for path in of_rate)
    still = set(before) - set(groups)
    assert_same_bits({p: scaled[p] for p in still}, {p: before[p] for p in still})


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize(
    "fields", [{}, {"layer_decay": 1.0}, {"layer_rates": (("conv2", 1.0), ("head", 1.0))}]
)
def test_rates_of_one_are_keras_own_optimizer(optimizer, fields):
    made = make_optimizer(prepared(), hyperparameters(optimizer=optimizer, **fields))
    assert type(made) in (keras.optimizers.AdamW, keras.optimizers.SGD)


def test_adam_takes_a_first_step_of_the_rate_though_its_step_forgets_the_gradients_size():
    before = values(prepared())
    after, _ = after_steps(
        1, optimizer="adamw", learning_rate=0.01, warmup_steps=0, layer_rates=(("head", 0.3),)
    )
    step = np.abs(after["predictions/bias"] - before["predictions/bias"])
    np.testing.assert_allclose(step, 0.3 * 0.01, rtol=1e-4)
    step = np.abs(after["conv1_conv/kernel"] - before["conv1_conv/kernel"])
    np.testing.assert_allclose(step, 0.01, rtol=1e-2)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_l2_sp_pulls_towards_the_first_weights_and_replaces_weight_decay(optimizer):
    model = prepared()
    made = make_optimizer(
        model,
        hyperparameters(
            optimizer=optimizer,
            learning_rate=0.1,
            weight_decay=0.25,
            l2_sp=0.5,
            layer_rates=(("conv2", 0.5),),
        ),
    )
    first = values(model)
    for variable in model.trainable_variables:
        variable.assign(variable + 2.0)
    moved = values(model)
    made.apply([np.zeros(v.shape, np.float32) for v in model.trainable_variables])
    after = values(model)
    # 2 away: 2 - 0.1 * 0.5 * 2 = 1.9, and 2 - 0.1 * 0.5 * 0.5 * 2 = 1.95 at half the rate.
    held = 0
    for path, value in after.items():
        if path == "predictions/kernel":
            np.testing.assert_allclose(value, moved[path] * (1 - 0.1 * 0.25), rtol=1e-6)
        elif path.endswith("/kernel"):
            held += 1
            left = 1.95 if path.startswith("conv2") else 1.9
            np.testing.assert_allclose(value - first[path], left, rtol=1e-5)
        else:
            assert value.tobytes() == moved[path].tobytes(), path
    assert held == 6


def test_where_nothing_moved_l2_sp_does_nothing():
    model = prepared()
    made = make_optimizer(model, hyperparameters(l2_sp=0.5))
    before = values(model)
    made.apply([np.zeros(v.shape, np.float32) for v in model.trainable_variables])
    assert_same_bits(values(model), before)


def test_the_next_training_is_held_to_its_own_first_weights():
    model = prepared()
    made = make_optimizer(model, hyperparameters(l2_sp=0.5))
    kernel = model.get_layer("conv1_conv").kernel
    kernel.assign(kernel + 2.0)
    take_first_values(made)
    before = values(model)
    made.apply([np.zeros(v.shape, np.float32) for v in model.trainable_variables])
    assert_same_bits(values(model), before)
    take_first_values(make_optimizer(model, hyperparameters()))  # of others there are none


def test_first_weights_are_no_part_of_a_checkpoint():
    model = prepared()
    plain, held = (make_optimizer(model, hyperparameters(l2_sp=s)) for s in (None, 0.5))
    assert [v.shape for v in held.variables] == [v.shape for v in plain.variables]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_stages_move_from_their_first_step_on_and_not_before(optimizer):
    model = prepared()
    fields = {"epochs": 4, "steps_per_epoch": 2, "unfreeze_epochs": 1, "weight_decay": 0.1}
    made = make_optimizer(model, hyperparameters(optimizer=optimizer, **fields))
    updates = plan_updates(model, hyperparameters(**fields))
    assert {u.first_step for u in updates.values()} == {0, 2, 4, 6}
    for step in range(8):
        before = values(model)
        made.apply(gradients(model, step))
        after = values(model)
        moved = {path for path in after if after[path].tobytes() != before[path].tobytes()}
        assert moved == {path for path, update in updates.items() if update.first_step <= step}


@pytest.mark.slow
def test_a_scaled_loss_is_unscaled_and_an_overflow_moves_nothing():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = prepared()
        fields = {"learning_rate": 0.1, "l2_sp": 0.5, "layer_decay": 0.5, "weight_decay": 0.1}
        made = make_optimizer(model, hyperparameters(**fields))
    finally:
        keras.config.set_dtype_policy("float32")
    plain_model = prepared()
    plain = make_optimizer(plain_model, hyperparameters(**fields))
    before = values(model)
    made.apply([np.full(v.shape, np.inf, np.float32) for v in model.trainable_variables])
    assert_same_bits(values(model), before)
    scale = float(made.scale_loss(1.0))
    for seed in range(2):
        made.apply([g * scale for g in gradients(model, seed)])
        plain.apply(gradients(plain_model, seed))
    expected = values(plain_model)
    for path, value in values(model).items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-5, atol=1e-6, err_msg=path)


@pytest.mark.slow
def test_a_traced_step_takes_the_same_steps():
    model, other = prepared(), prepared()
    fields = {**FIELDS, "optimizer": "adamw", "l2_sp": 0.5, "layer_decay": 0.5}
    step = TrainingStep(
        model, make_optimizer(model, hyperparameters(**fields)), 0.0, tf.distribute.get_strategy()
    )
    made = make_optimizer(other, hyperparameters(**fields))
    for seed in range(2):
        images, labels, weights = labelled_pixels(4, seed=seed)
        step((images, labels, weights))
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(
                labels, other(images, training=True), from_logits=True
            )
            loss = tf.reduce_mean(losses)
        made.apply(tape.gradient(loss, other.trainable_variables))
    expected = values(other)
    for path, value in values(model).items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-3, atol=2e-4, err_msg=path)
