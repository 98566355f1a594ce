"""The learning-rate finder: it measures the training's own steps, and changes nothing."""

import dataclasses
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import assert_same_bits, values

import tl_toolkit as tl
from tl_toolkit.experiments import find_learning_rate as finder
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.transfer.feature_cache import FeatureCache
from tl_toolkit.transfer.network_pool import NetworkPool


@pytest.fixture
def recipe(photo_recipe):
    """A full fine-tuning with batch statistics that move, without a rate of its own."""
    strategy = tl.FullFineTune(bn_mode="adapt")
    return dataclasses.replace(
        photo_recipe, strategy=strategy, learning_rate=None, optimizer="sgd", views=None
    )


def drawn():
    """What the global generators give next."""
    return (
        random.random(),
        np.random.random(),
        tf.random.uniform([]).numpy(),
        tf.random.get_global_generator().uniform([]).numpy(),
        keras.random.uniform([]).numpy(),
    )


def seeded():
    keras.utils.set_random_seed(11)
    tf.random.set_global_generator(tf.random.Generator.from_seed(12))


@pytest.mark.long
def test_no_generator_moves(recipe):
    seeded()
    expected = drawn()
    seeded()
    tl.find_learning_rate(recipe, steps=20)
    assert drawn() == expected


def moved_in_a_pool(recipe):
    """A context whose pool has the recipe's network, with other weights than it starts from, as after a training."""
    context = Context(networks=NetworkPool())
    model = prepare(recipe, context).model
    for variable in model.weights:
        variable.assign(variable * 1.01)
    return context, model


def flags(model):
    return [
        (
            layer.name,
            layer.trainable,
            getattr(layer, "mode", None),
            getattr(layer, "momentum", None),
        )
        for layer in model.layers
    ]


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["well", pytest.param("with an error", marks=pytest.mark.long)])
def test_a_shared_network_keeps_every_bit(recipe, monkeypatch, ends):
    context, model = moved_in_a_pool(recipe)
    before, flags_before = values(model), flags(model)
    policy = keras.config.dtype_policy().name
    seeded()
    expected = drawn()
    seeded()
    if ends == "well":
        tl.find_learning_rate(recipe, steps=20, context=context)
    else:
        calls = []

        def breaking(losses):
            calls.append(len(losses))
            if len(calls) == 5:
                raise RuntimeError("broken")
            return losses

        monkeypatch.setattr(finder, "smoothed_losses", breaking)
        with pytest.raises(RuntimeError, match="broken"):
            tl.find_learning_rate(recipe, steps=20, context=context)
        assert calls == [1, 2, 3, 4, 5]
    assert drawn() == expected
    assert_same_bits(values(model), before)
    assert flags(model) == flags_before
    assert keras.config.dtype_policy().name == policy


class Losses(keras.callbacks.Callback):
    """The loss of every batch."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


@pytest.mark.long
def test_it_measures_the_batches_and_steps_of_the_training(recipe):
    """At a rate of nearly 0 both see the weights that they start from, batch by batch."""
    seen = Losses()
    still = dataclasses.replace(recipe, learning_rate=1e-12)
    train_and_validate(still, Context(callbacks=(seen,)))
    found = tl.find_learning_rate(recipe, lowest=1e-12, highest=1.1e-12, steps=20)
    np.testing.assert_allclose(found.losses, seen.losses[:20], rtol=1e-5)


@pytest.mark.long
def test_the_same_call_gives_the_same_bits(recipe):
    first, second = (tl.find_learning_rate(recipe, steps=20) for _ in range(2))
    assert first.losses.tobytes() == second.losses.tobytes()
    assert first.rates.tobytes() == second.rates.tobytes()
    assert first.suggestion == second.suggestion


@pytest.mark.long
def test_rates_rise_exponentially_and_epochs_are_begun_anew(recipe):
    one_epoch = dataclasses.replace(recipe, epochs=1)
    found = tl.find_learning_rate(one_epoch, lowest=1e-6, highest=1e-3, steps=25)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-6, 1e-3, 25), rtol=1e-5)
    assert found.rates.dtype == found.losses.dtype == found.smoothed.dtype == np.float64


@pytest.mark.long
def test_it_stops_where_the_loss_diverges(recipe):
    found = tl.find_learning_rate(recipe, lowest=1e-4, highest=1e5, steps=60)
    assert len(found.rates) < 60
    assert np.isfinite(found.losses).all()


@pytest.mark.long
def test_a_suggestion_trains_better_than_a_hundredth_of_it(recipe):
    found = tl.find_learning_rate(recipe, lowest=1e-5, steps=60)
    assert found.suggestion is not None
    assert 1e-4 < found.suggestion < 1
    losses = [
        train_and_validate(dataclasses.replace(recipe, epochs=6, learning_rate=rate))
        .progress.history[-1]["loss"]
        for rate in (found.suggestion, found.suggestion / 100)
    ]  # fmt: skip
    assert losses[0] < losses[1] / 2


@pytest.mark.long
def test_features_of_frozen_layers_are_cached_as_in_the_training(photo_recipe, tmp_path):
    head = dataclasses.replace(photo_recipe, strategy=tl.NewHead(), learning_rate=None)
    context = Context(feature_cache=FeatureCache(tmp_path))
    found = tl.find_learning_rate(head, steps=20, context=context)
    assert found.default == pytest.approx(1e-2 * np.sqrt(16 / 32))
    features = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert features
    train_and_validate(dataclasses.replace(head, epochs=2), context)
    assert features <= {path.name for path in tmp_path.rglob("*") if path.is_file()}


def test_a_head_that_is_solved_for_has_no_learning_rate(photos, tiny_weights):
    recipe = tl.Recipe(f"folder:{photos}", tl.NewHead(), weights=str(tiny_weights))
    assert recipe.solver == "lbfgs"
    with pytest.raises(tl.InputError, match="there is no learning rate"):
        tl.find_learning_rate(recipe)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lowest": 0.0}, "0 < lowest < highest"),
        ({"lowest": 1.0, "highest": 0.1}, "0 < lowest < highest"),
        ({"steps": 5}, "at least 20"),
    ],
)
def test_odd_rates_are_refused_before_anything_is_done(recipe, arguments, message):
    with pytest.raises(tl.InputError, match=message):
        tl.find_learning_rate(recipe, **arguments)


def test_the_plot_is_a_png_whatever_the_name(tmp_path, plots):
    losses = np.linspace(2.0, 1.0, 30)
    rates = np.geomspace(1e-6, 1, 30)
    for suggestion in (None, 1e-3):
        found = tl.LearningRates(rates, losses, losses, suggestion, "", 1e-2)
        found.plot(tmp_path / "curve")
        assert (tmp_path / "curve").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
