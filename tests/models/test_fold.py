"""Folded and constant, a network gives the numbers that it gave before."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from tiny import randomise

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING, Architecture
from tl_toolkit.models.fold import inference_engine
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.transfer.cut import cut_model

DEPTHS = {
    "basic": Architecture("basic", (1, 2), "v1.5", width=8),
    "bottleneck v1": Architecture("bottleneck", (2, 1), "v1", width=8),
    "bottleneck v1.5": Architecture("bottleneck", (1, 2), "v1.5", width=16),
    "cifar": Architecture("basic", (1, 1), "v1.5", width=8, stem="cifar"),
}


def classifier(architecture, **options):
    return randomise(assemble_classifier(architecture, PREPROCESSING["caffe"], 5, **options))


def images(side=33, count=4):
    return np.random.default_rng(0).uniform(0, 255, (count, side, side, 3)).astype(np.float32)


def relative(actual, expected):
    return np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", DEPTHS.values(), ids=DEPTHS)
@pytest.mark.parametrize("on", long_after(1, ["features", "logits"]))
def test_outputs_are_equal_to_rounding(architecture, on):
    model = classifier(architecture, on=on, original_classes=7 if on == "logits" else 0)
    expected = model(images(), training=False).numpy()
    engine = inference_engine(model)
    assert relative(engine(images()), expected) < 2e-6
    assert relative(engine(images(48, 2)), model(images(48, 2), training=False).numpy()) < 2e-6


def operations(engine):
    """How many operations of each type the engine's graph has."""
    graph = engine.get_concrete_function().graph
    return collections.Counter(operation.type for operation in graph.get_operations())


def test_every_normalisation_is_folded_and_nothing_else_is_gone():
    count = operations(inference_engine(classifier(DEPTHS["bottleneck v1.5"])))
    assert count["FusedBatchNormV3"] == count["Rsqrt"] == count["ReadVariableOp"] == 0
    assert count["Conv2D"] == 1 + 3 * 3 + 2
    assert count["BiasAdd"] == count["Conv2D"] + 1  # the head's
    assert count["Relu"] == 1 + 3 * 3
    assert count["AddV2"] == 3
    assert count["MaxPool"] == count["MatMul"] == 1


@pytest.mark.parametrize("mode", long_after(1, ["adapt", "affine", "frozen"]))
def test_the_mode_does_not_matter_and_the_model_is_left_as_it_was(mode):
    model = classifier(DEPTHS["basic"])
    for layer in model.layers:
        if isinstance(layer, tl.BatchNormalization):
            layer.mode = mode
    before = [variable.numpy() for variable in model.variables]
    expected = model(images(), training=False).numpy()
    assert relative(inference_engine(model)(images()), expected) < 2e-6
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_the_values_are_those_of_when_it_was_made():
    model = classifier(DEPTHS["basic"])
    engine = inference_engine(model)
    expected = engine(images()).numpy()
    for variable in model.variables:
        variable.assign(variable * 0)
    np.testing.assert_array_equal(engine(images(4 * 8 + 1)), expected)


@pytest.mark.parametrize(
    "layer", long_after(1, ["conv3_block1_add", "conv2_block1_out", "avg_pool"])
)
def test_the_part_before_a_cut_is_folded_too(layer):
    frozen = cut_model(classifier(DEPTHS["bottleneck v1"]), layer).frozen
    expected = frozen(images(), training=False).numpy()
    assert relative(inference_engine(frozen)(images()), expected) < 2e-6


def test_a_convolution_that_others_look_at_or_that_has_a_bias_stays():
    inputs = keras.Input((8, 8, 3))
    seen = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="seen")(inputs)
    x = keras.layers.Add()([seen, keras.layers.BatchNormalization(name="one")(seen)])
    x = keras.layers.BatchNormalization(name="two")(keras.layers.Conv2D(4, 3, name="biased")(x))
    x = keras.layers.Conv2D(4, 1, use_bias=False, activation="relu", name="active")(x)
    x = keras.layers.BatchNormalization(name="three", center=False, scale=False)(x)
    x = keras.layers.Conv2D(4, 1, use_bias=False, name="last")(x)
    model = randomise(keras.Model(inputs, keras.layers.BatchNormalization(scale=False)(x)))
    batch = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    count = operations(inference_engine(model))
    assert count["Conv2D"] == 4
    assert count["Rsqrt"] == 3  # of all normalisations but that behind "last"
    expected = model(batch, training=False).numpy()
    assert relative(inference_engine(model)(batch), expected) < 2e-6


def test_bfloat16_is_close_and_its_head_is_float32():
    model = classifier(DEPTHS["basic"])
    expected = model(images(), training=False).numpy()
    engine = inference_engine(model, "bfloat16")
    of_type = {
        operation.type: operation.outputs[0].dtype
        for operation in engine.get_concrete_function().graph.get_operations()
        if operation.outputs
    }
    assert of_type["Conv2D"] == of_type["Relu"] == of_type["MaxPool"] == tf.bfloat16
    assert of_type["Mean"] == of_type["MatMul"] == tf.float32
    answer = engine(images())
    assert answer.dtype == tf.float32
    assert 1e-4 < relative(answer, expected) < 0.03


def test_a_mixed_model_is_computed_in_float32_where_that_is_asked_for():
    expected_model = classifier(DEPTHS["basic"])
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = assemble_classifier(DEPTHS["basic"], PREPROCESSING["caffe"], 5)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(expected_model.get_weights())
    expected = expected_model(images(), training=False).numpy()
    assert relative(inference_engine(mixed, "float32")(images()), expected) < 2e-6
    assert relative(inference_engine(mixed)(images()), expected) > 1e-4


def test_another_precision_is_refused():
    with pytest.raises(tl.InputError, match="Unknown precision 'int8'"):
        inference_engine(classifier(DEPTHS["basic"]), "int8")


def test_all_endpoints_of_a_graph_hold_the_constants_once(tmp_path):
    model = classifier(DEPTHS["bottleneck v1.5"])
    engine = inference_engine(model)
    module = tf.Module()
    signature = [tf.TensorSpec([None, 32, 32, 3], tf.float32, "images")]
    functions = [tf.function(lambda x, n=n: {"y": engine(x) + n}, signature) for n in range(3)]
    signatures = {f"f{n}": f.get_concrete_function() for n, f in enumerate(functions)}
    tf.saved_model.save(module, str(tmp_path / "model"), signatures)
    constants = 4 * sum(int(np.prod(v.shape)) for v in model.variables)
    assert (tmp_path / "model" / "saved_model.pb").stat().st_size < 1.5 * constants + 200_000
