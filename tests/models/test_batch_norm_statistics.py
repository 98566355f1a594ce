"""What batch normalisations are given, measured without changing the model."""

import keras
import numpy as np
import pytest
from tiny import (
    SIDE,
    assert_same_bits,
    classifier,
    labelled_pixels,
    randomise,
    values,
    with_dropout,
)

from tl_toolkit.errors import InputError
from tl_toolkit.models.batch_norm_statistics import (
    StatisticsReader,
    assign_statistics,
    batch_norm_layers,
    gaps,
    mode_of,
    read_statistics,
)

IMAGES = labelled_pixels(13)[0]


def states(model):
    """Everything of the layers that is not a value: their attributes' names, modes and flags."""
    return {
        layer.name: (set(vars(layer)), layer.trainable, getattr(layer, "mode", None))
        for layer in model.layers
    }


def plain_network(axis=-1):
    """Keras' own layers, one of them behind a dense layer, in a model within the model."""
    inner_input = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(4, 3)(inner_input)
    x = keras.layers.BatchNormalization(axis=axis, name="inner_bn")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    inner = keras.Model(inner_input, x, name="inner")
    outer_input = keras.Input((SIDE, SIDE, 3))
    y = keras.layers.Dense(5)(inner(outer_input))
    y = keras.layers.BatchNormalization(scale=False, center=False, name="outer_bn")(y)
    return randomise(keras.Model(outer_input, keras.layers.Dense(3)(y), name="outer"))


@pytest.mark.parametrize("layer", ["conv1_bn", "conv3_block1_2_bn"])
def test_statistics_are_those_of_the_layer_s_input_in_evaluation(layer):
    model = classifier()
    found = read_statistics(model, [IMAGES[:6], IMAGES[6:]])[layer]
    inputs = keras.Model(model.input, model.get_layer(layer).input)(IMAGES, training=False)
    inputs = np.asarray(inputs, np.float64)
    np.testing.assert_allclose(found.mean, inputs.mean((0, 1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.variance, inputs.var((0, 1, 2)), rtol=1e-5)
    of_images = inputs.mean((1, 2))
    np.testing.assert_allclose(found.mean_error, of_images.std(0) / np.sqrt(13), rtol=1e-4)
    around = ((inputs - found.mean) ** 2).mean((1, 2))
    np.testing.assert_allclose(found.variance_error, around.std(0) / np.sqrt(13), rtol=1e-3)
    assert found.images == 13


def test_models_within_a_model_and_plain_layers_are_measured():
    model = plain_network()
    found = read_statistics(model, [IMAGES])
    assert list(found) == ["inner/inner_bn", "outer_bn"]
    dense = keras.Model(model.input, model.get_layer("outer_bn").input)(IMAGES, training=False)
    np.testing.assert_allclose(found["outer_bn"].mean, np.mean(dense, axis=0), rtol=1e-4, atol=1e-6)


def test_channels_may_come_first():
    model = plain_network(axis=1)
    found = read_statistics(model, [IMAGES])["inner/inner_bn"]
    assert found.mean.shape == (SIDE - 2,)
    inner = model.get_layer("inner")
    inputs = np.asarray(keras.Model(inner.input, inner.get_layer("inner_bn").input)(IMAGES))
    np.testing.assert_allclose(found.variance, inputs.var((0, 2, 3)), rtol=1e-4)


def test_by_batch_is_what_training_computes():
    model = classifier()
    outputs = StatisticsReader(model, batch_norm_layers(model))(IMAGES)
    np.testing.assert_allclose(outputs, model(IMAGES, training=True), rtol=1e-4, atol=1e-5)


def test_plain_layers_by_batch_are_what_training_computes():
    model = plain_network()
    outputs = StatisticsReader(model, batch_norm_layers(model))(IMAGES)
    np.testing.assert_allclose(outputs, model(IMAGES, training=True), rtol=1e-4, atol=1e-5)


def test_layers_that_are_not_by_batch_keep_to_their_moving_statistics():
    model = classifier()
    assert model.get_layer("conv1_bn").mode == "adapt"
    for layer in batch_norm_layers(model).values():
        layer.mode = "affine" if layer.name == "conv1_bn" else "adapt"
    others = [name for name in batch_norm_layers(model) if name != "conv1_bn"]
    outputs = StatisticsReader(model, others)(IMAGES)
    np.testing.assert_allclose(outputs, model(IMAGES, training=True), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by_batch", [False, True])
def test_no_bit_of_the_model_changes(by_batch):
    model = with_dropout(classifier())
    before, states_before = values(model), states(model)
    read_statistics(model, [IMAGES], batch_norm_layers(model) if by_batch else ())
    assert_same_bits(values(model), before)
    assert states(model) == states_before
    assert any("seed" in name for name in before)


def test_the_model_is_itself_again_after_an_error():
    class Refusing(keras.layers.Layer):
        def call(self, x):
            if refuses:
                raise ValueError("refused")
            return x

    refuses = False
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.BatchNormalization()(images)
    model = keras.Model(images, Refusing()(x))
    before, states_before, refuses = values(model), states(model), True
    with pytest.raises(ValueError, match="refused"):
        read_statistics(model, [IMAGES])
    assert_same_bits(values(model), before)
    assert states(model) == states_before


def test_statistics_that_cannot_be_reached_are_refused_not_left_out():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.norm = keras.layers.BatchNormalization(name="hidden_bn")

        def build(self, shape):
            self.norm.build(shape)

        def call(self, x):
            return self.norm(x)

    images = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(images, Block()(images))
    with pytest.raises(InputError, match="hidden_bn"):
        batch_norm_layers(model)


def test_a_model_without_batch_normalisation_is_refused():
    images = keras.Input((4,))
    with pytest.raises(InputError, match="no batch normalisation"):
        batch_norm_layers(keras.Model(images, keras.layers.Dense(2)(images)))


def test_inputs_that_are_not_finite_change_nothing():
    model = classifier()
    before = values(model)
    broken = np.full_like(IMAGES, np.inf)
    layers = batch_norm_layers(model)
    found = read_statistics(model, [broken], layers)
    with pytest.raises(InputError, match="not finite"):
        assign_statistics(layers, found, list(layers))
    assert_same_bits(values(model), before)


def test_a_gap_is_in_standard_deviations_and_in_log_variance():
    means, variances = gaps([1.0, 0.0], [4.0, 1.0], [0.0, 0.0], [1.0, 1.0], 0.0)
    np.testing.assert_allclose(means, [1.0, 0.0])
    np.testing.assert_allclose(variances, [np.log(4.0), 0.0])
    # A channel without variance: what ε normalises away is no gap.
    assert gaps([0.0], [0.0], [0.0], [0.0], 1e-5)[1] == 0


def test_keras_own_layer_adapts_unless_it_is_not_trainable():
    layer = keras.layers.BatchNormalization()
    assert mode_of(layer) == "adapt"
    layer.trainable = False
    assert mode_of(layer) == "frozen"
