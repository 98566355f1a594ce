"""BatchNormalization gives Keras' numbers, and its mode holds wherever a model takes it."""

import itertools
import json
import warnings

import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from fresh_process import run_script

from tl_toolkit.catalog import BN_MODES
from tl_toolkit.errors import InputError
from tl_toolkit.models.batch_norm import BatchNormalization

FIXED_STATISTICS = ("affine", "frozen")
SHAPES = {"2d": (6, 3), "4d": (3, 4, 5, 3)}
TOLERANCES = {
    "float64": 1e-12,
    "float32": 1e-5,
    "mixed_float16": 4e-3,
    "mixed_bfloat16": 4e-2,
    "float16": 4e-3,
    "bfloat16": 4e-2,
}
HALF_DTYPES = {
    "mixed_float16": "float32",
    "mixed_bfloat16": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
}  # the layer's dtype, and its variables'
TRAINED = {"adapt": ["gamma", "beta"], "affine": ["gamma", "beta"], "frozen": []}

# Two images of one pixel. Means 2, 5, 0 and variances 4, 0, 9, so that a momentum of 0.9 takes the
# moving averages from 0 and 1 to these; with n = 2, Bessel's correction would double the variances.
BATCH = np.array([[[[0, 5, -3]]], [[[4, 5, 3]]]], "float32")
TARGETS = np.array([[1, -1], [0, 2]], "float32")
MEAN_AFTER_ONE_STEP = [0.2, 0.5, 0.0]
VARIANCE_AFTER_ONE_STEP = [1.3, 0.9, 1.8]


def layer_pair(shape, mode="adapt", **arguments):
    """Keras' layer and ours, with the same random weights."""
    keras_layer = keras.layers.BatchNormalization(**arguments)
    our_layer = BatchNormalization(mode=mode, **arguments)
    random = np.random.default_rng(1)
    keras_layer.build(shape)
    our_layer.build(shape)
    weights = [random.uniform(0.5, 2.0, v.shape) for v in keras_layer.weights]
    keras_layer.set_weights(weights)
    our_layer.set_weights(by_name(our_layer, dict(zip(names(keras_layer), weights, strict=True))))
    return keras_layer, our_layer


def names(layer):
    return [v.name for v in layer.weights]


def by_name(layer, values):
    return [values[name] for name in names(layer)]


def outputs_and_gradients(layer, x, training):
    """The output, and a random projection's gradients with respect to x, γ and β."""
    cotangent = np.random.default_rng(2).normal(size=x.shape)
    x = tf.cast(x, layer.compute_dtype)
    variables = [v.value for v in (layer.gamma, layer.beta) if v is not None]
    with tf.GradientTape() as tape:
        tape.watch([x, *variables])
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, "float64") * cotangent)
    return [y, *tape.gradient(loss, [x, *variables])]


def assert_close(actual, expected, tolerance):
    for a, e in zip(actual, expected, strict=True):
        assert keras.backend.standardize_dtype(a.dtype) == keras.backend.standardize_dtype(e.dtype)
        a, e = (np.asarray(tf.cast(tensor, "float64")) for tensor in (a, e))
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance * max(1, np.abs(e).max()))


def statistics(layer):
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("rank", SHAPES)
def test_outputs_gradients_and_statistics_are_those_of_keras(rank, dtype, training):
    x = np.random.default_rng(0).normal(1, 2, SHAPES[rank])
    keras_layer, our_layer = layer_pair(x.shape, dtype=dtype)
    expected = outputs_and_gradients(keras_layer, x, training)
    assert_close(outputs_and_gradients(our_layer, x, training), expected, TOLERANCES[dtype])
    assert_close(statistics(our_layer), statistics(keras_layer), TOLERANCES[dtype])


@pytest.mark.parametrize(
    "arguments",
    [
        {"center": False},
        {"scale": False},
        {"center": False, "scale": False},
        {"axis": 1},
        {"axis": 3, "momentum": 0.5, "epsilon": 0.1},
        {"renorm": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", BN_MODES)
def test_every_argument_means_what_it_means_in_keras(arguments, mode):
    x = np.random.default_rng(0).normal(1, 2, (3, 4, 5, 6))
    keras_layer, our_layer = layer_pair(x.shape, mode, **arguments)
    expected = outputs_and_gradients(keras_layer, x, training=mode == "adapt")
    assert_close(outputs_and_gradients(our_layer, x, training=True), expected, 1e-5)
    assert_close(statistics(our_layer), statistics(keras_layer), 1e-6)


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 3)])
def test_a_batch_of_one_value_a_channel_has_variance_0(shape):
    x = np.reshape([1.0, -2.0, 8.0], shape)
    keras_layer, our_layer = layer_pair(shape, momentum=0.9)
    mean, variance = statistics(our_layer)
    y = our_layer(x, training=True)
    np.testing.assert_allclose(np.reshape(y, 3), our_layer.beta.numpy(), atol=1e-6)
    np.testing.assert_allclose(our_layer.moving_mean, 0.9 * mean + 0.1 * x.reshape(3), rtol=1e-6)
    np.testing.assert_allclose(our_layer.moving_variance, 0.9 * variance, rtol=1e-6)
    assert_close([y], [keras_layer(x, training=True)], 1e-5)


def test_masked_pixels_stay_out_of_the_statistics():
    x = np.random.default_rng(0).normal(1, 2, (2, 2, 2, 3)).astype("float32")
    mask = np.array([[[1, 1], [0, 0]], [[1, 0], [1, 0]]], bool)
    keras_layer, our_layer = layer_pair(x.shape, momentum=0.5)
    before = our_layer.moving_mean.numpy()
    y = our_layer(x, training=True, mask=mask)
    assert_close([y], [keras_layer(x, training=True, mask=mask)], 1e-6)
    expected = 0.5 * before + 0.5 * x[mask].mean(axis=0)
    np.testing.assert_allclose(our_layer.moving_mean, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", HALF_DTYPES)
@pytest.mark.parametrize("mode", BN_MODES)
def test_half_precision_is_normalised_in_float32(dtype, mode):
    x = np.array([[1, 100], [1, 101], [2, 101], [2, 102]], "float32")
    mean, variance = np.array([1.5, 101], "float32"), np.array([0.25, 0.5], "float32")
    layer = BatchNormalization(mode=mode, dtype=dtype, momentum=0.0, epsilon=1e-5)
    layer.build(x.shape)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    y = layer(x, training=True)
    assert [v.dtype for v in layer.weights] == [HALF_DTYPES[dtype]] * 4
    expected = tf.cast((x - mean) / np.sqrt(variance + np.float32(1e-5)), layer.compute_dtype)
    np.testing.assert_array_equal(tf.cast(y, "float32"), tf.cast(expected, "float32"))
    np.testing.assert_array_equal(tf.cast(layer.moving_mean.value, "float32"), mean)
    np.testing.assert_allclose(tf.cast(layer.moving_variance.value, "float32"), variance, rtol=1e-6)


@pytest.mark.parametrize("dtype", HALF_DTYPES)
def test_moving_averages_of_any_precision_follow_those_of_keras(dtype):
    keras_layer, our_layer = layer_pair(BATCH.shape, dtype=dtype)
    for step in range(5):
        keras_layer(BATCH + step, training=True)
        our_layer(BATCH + step, training=True)
    for ours, theirs in zip(statistics(our_layer), statistics(keras_layer), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@hypothesis.given(
    x=hypothesis.extra.numpy.arrays(
        "float32",
        st.tuples(*(st.integers(1, limit) for limit in (5, 4, 4, 4))),
        elements=st.integers(-80, 80).map(lambda n: n / 8),
    )
)
def test_any_batch_gives_the_output_and_statistics_of_keras(x):
    keras_layer, our_layer = layer_pair(x.shape)
    np.testing.assert_allclose(
        our_layer(x, training=True), keras_layer(x, training=True), atol=1e-4, rtol=1e-5
    )
    assert_close(statistics(our_layer), statistics(keras_layer), 1e-5)


@pytest.mark.parametrize("dtype", ["float32", *HALF_DTYPES])
@pytest.mark.parametrize("rank", SHAPES)
@pytest.mark.parametrize("mode", FIXED_STATISTICS)
def test_fixed_statistics_make_training_the_same_as_inference(mode, rank, dtype):
    x = np.random.default_rng(0).normal(size=SHAPES[rank])
    keras_layer, our_layer = layer_pair(x.shape, mode, dtype=dtype)
    before = statistics(our_layer)
    trained = outputs_and_gradients(our_layer, x, training=True)
    np.testing.assert_array_equal(statistics(our_layer), before)
    tolerance = 1e-6 if dtype == "float32" else TOLERANCES[dtype]
    assert_close(trained[:1], [our_layer(x, training=False)], tolerance)
    assert_close(trained, outputs_and_gradients(keras_layer, x, training=False), tolerance)


@pytest.mark.parametrize("mode", BN_MODES)
def test_the_fused_kernel_runs_where_its_gradient_is_deterministic(mode):
    layer = BatchNormalization(mode=mode)
    for training, fused in ((True, mode == "adapt"), (False, True)):
        call = tf.function(layer).get_concrete_function(BATCH, training=training)
        kernels = {op.type for op in call.graph.get_operations()}
        assert ("FusedBatchNormV3" in kernels) == fused


def test_xla_keeps_the_statistics_of_keras():
    layer = BatchNormalization(momentum=0.9)
    layer.build(BATCH.shape)
    tf.function(layer, jit_compile=True)(BATCH, training=True)
    np.testing.assert_allclose(layer.moving_mean, MEAN_AFTER_ONE_STEP, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, VARIANCE_AFTER_ONE_STEP, atol=1e-6)


def classifier(nested, mode="adapt"):
    """A compiled two-output model on BATCH, its batch normalisation at the top or in a model."""
    inputs = keras.Input((1, 1, 3))
    normalised = BatchNormalization(momentum=0.9, mode=mode, name="bn")(inputs)
    if nested:
        outer = keras.Input((1, 1, 3))
        inputs, normalised = outer, keras.Model(inputs, normalised, name="inner")(outer)
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(normalised))
    return compiled(keras.Model(inputs, outputs))


def compiled(model, eager=False):
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=eager)
    return model


def bn_of(model):
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return (nested[0] if nested else model).get_layer("bn")


def state(layer):
    return {v.name: v.numpy() for v in layer.weights}


def assert_one_step_moves_what_the_mode_says(model, mode):
    """Trains one step on BATCH from fresh statistics, and looks at every variable of the layer."""
    layer = bn_of(model)
    layer.moving_mean.assign(np.zeros(3))
    layer.moving_variance.assign(np.ones(3))
    before = state(layer)
    model.fit(BATCH, TARGETS, epochs=1, verbose=0)
    after = state(layer)
    if mode == "adapt":
        np.testing.assert_allclose(after["moving_mean"], MEAN_AFTER_ONE_STEP, atol=1e-6)
        np.testing.assert_allclose(after["moving_variance"], VARIANCE_AFTER_ONE_STEP, atol=1e-6)
    else:
        np.testing.assert_array_equal(after["moving_mean"], before["moving_mean"])
        np.testing.assert_array_equal(after["moving_variance"], before["moving_variance"])
    for name in ("gamma", "beta"):
        moved = np.abs(after[name] - before[name]).max() > 1e-3
        assert moved == (name in TRAINED[mode])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("nested", "unfrozen_later"),
    [(False, False), (True, True)],
    ids=["flat, as built", "nested, unfrozen later"],
)
@pytest.mark.parametrize("mode", BN_MODES)
def test_fit_moves_what_the_mode_says_and_evaluation_moves_nothing(mode, nested, unfrozen_later):
    model = classifier(nested, mode)
    if unfrozen_later:
        model.trainable = False
        model.trainable = True
        compiled(model)
    layer = bn_of(model)
    assert [v.name for v in layer.trainable_variables] == TRAINED[mode]
    assert [v.name for v in model.trainable_variables] == [*TRAINED[mode], "kernel", "bias"]
    assert_one_step_moves_what_the_mode_says(model, mode)

    after = state(layer)
    predicted = model.predict(BATCH, verbose=0)
    loss = model.evaluate(BATCH, TARGETS, verbose=0)
    for name, value in state(layer).items():
        np.testing.assert_array_equal(value, after[name])
    scale = after["gamma"] / np.sqrt(after["moving_variance"] + 1e-3)
    normalised = (BATCH[:, 0, 0] - after["moving_mean"]) * scale + after["beta"]
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(predicted, normalised @ kernel + bias, atol=1e-5)
    np.testing.assert_allclose(loss, np.mean((predicted - TARGETS) ** 2), rtol=1e-5)


@pytest.mark.parametrize(("earlier", "mode"), long_after(2, itertools.permutations(BN_MODES, 2)))
def test_a_new_mode_acts_once_the_model_is_compiled_again(earlier, mode):
    model = classifier(nested=False, mode=earlier)
    model.fit(BATCH, TARGETS, verbose=0)
    bn_of(model).mode = mode
    assert [v.name for v in bn_of(model).trainable_variables] == TRAINED[mode]
    assert_one_step_moves_what_the_mode_says(compiled(model), mode)


@pytest.mark.parametrize(
    ("nested", "copy"),
    [(True, "load_model"), (False, "clone_model")],
    ids=["nested, loaded", "flat, cloned"],
)
@pytest.mark.parametrize("mode", BN_MODES)
def test_copies_of_a_model_keep_the_mode(mode, nested, copy, tmp_path):
    model = classifier(nested)
    bn_of(model).mode = mode
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 2.0, v.shape) for v in model.weights])
    if copy == "load_model":
        model.save(tmp_path / "model.keras")
        copied = compiled(keras.models.load_model(tmp_path / "model.keras"), eager=True)
    else:
        copied = compiled(keras.models.clone_model(model), eager=True)
        copied.set_weights(model.get_weights())
    assert bn_of(copied) is not bn_of(model)
    assert bn_of(copied).mode == mode
    assert [v.name for v in bn_of(copied).trainable_variables] == TRAINED[mode]
    np.testing.assert_array_equal(copied(BATCH), model(BATCH))
    assert_one_step_moves_what_the_mode_says(copied, mode)


@pytest.mark.parametrize(("mode", "nested"), [("adapt", True), ("affine", False), ("frozen", True)])
def test_an_untrainable_layer_is_frozen_and_gets_its_mode_back(mode, nested):
    model = classifier(nested, mode)
    layer = bn_of(model)
    layer.trainable = False
    assert (layer.mode, layer.effective_mode) == (mode, "frozen")
    assert layer.trainable_variables == []
    assert_one_step_moves_what_the_mode_says(compiled(model, eager=True), "frozen")
    layer.trainable = True
    assert layer.effective_mode == mode
    assert [v.name for v in layer.trainable_variables] == TRAINED[mode]
    assert_one_step_moves_what_the_mode_says(compiled(model, eager=True), mode)


@pytest.mark.parametrize("mode", BN_MODES)
def test_a_layer_built_untrainable_stays_frozen_whatever_its_mode(mode):
    layer = BatchNormalization(trainable=False, momentum=0.9)
    layer.build(BATCH.shape)
    layer.mode = mode
    before = state(layer)
    layer(BATCH, training=True)
    assert layer.trainable_variables == []
    for name, value in state(layer).items():
        np.testing.assert_array_equal(value, before[name])
    layer.trainable = True
    layer(BATCH, training=True)
    assert [v.name for v in layer.trainable_variables] == TRAINED[mode]
    expected = MEAN_AFTER_ONE_STEP if mode == "adapt" else before["moving_mean"]
    np.testing.assert_allclose(layer.moving_mean, expected, atol=1e-6)


@pytest.mark.parametrize("mode", BN_MODES)
def test_frozen_variables_are_not_regularised(mode):
    layer = BatchNormalization(mode=mode, gamma_regularizer=keras.regularizers.L2(0.5))
    layer.build(BATCH.shape)
    assert [float(loss) for loss in layer.losses] == ([] if mode == "frozen" else [1.5])


@pytest.mark.parametrize("mode", BN_MODES)
def test_the_config_holds_the_mode_and_all_that_keras_has(mode):
    arguments = {
        "axis": 1,
        "momentum": 0.7,
        "epsilon": 0.01,
        "center": False,
        "scale": False,
        "beta_initializer": "ones",
        "gamma_initializer": "zeros",
        "moving_mean_initializer": "ones",
        "moving_variance_initializer": "zeros",
        "beta_regularizer": keras.regularizers.L2(0.1),
        "gamma_regularizer": keras.regularizers.L1(0.2),
        "beta_constraint": keras.constraints.NonNeg(),
        "gamma_constraint": keras.constraints.UnitNorm(),
        "renorm": True,
        "renorm_clipping": {"rmax": 3.0},
        "renorm_momentum": 0.6,
        "synchronized": True,
        "name": "bn",
        "dtype": "mixed_bfloat16",
        "trainable": False,
    }
    config = BatchNormalization(mode=mode, **arguments).get_config()
    expected = keras.layers.BatchNormalization(**arguments).get_config()
    assert config == {**expected, "mode": mode}
    assert BatchNormalization.from_config(config).get_config() == config


def test_positional_arguments_are_those_of_keras():
    ours = BatchNormalization(1, 0.8, 0.02, False, True, "ones", name="bn")
    theirs = keras.layers.BatchNormalization(1, 0.8, 0.02, False, True, "ones", name="bn")
    assert ours.get_config() == {**theirs.get_config(), "mode": "adapt"}


def test_the_class_is_registered_under_the_toolkit():
    assert keras.saving.get_registered_name(BatchNormalization) == "tl_toolkit>BatchNormalization"
    assert BatchNormalization.__name__ == keras.layers.BatchNormalization.__name__


def test_an_unknown_mode_is_refused_with_the_nearest_one():
    message = r"Unknown BN mode 'afine'\. Did you mean 'affine'\? Known: adapt, affine, frozen\."
    with pytest.raises(InputError, match=message):
        BatchNormalization(mode="afine")
    layer = BatchNormalization(mode="frozen")
    with pytest.raises(InputError, match=message):
        layer.mode = "afine"
    assert layer.mode == "frozen"


@pytest.mark.slow
@pytest.mark.parametrize("mode", BN_MODES)
@pytest.mark.parametrize("direction", ["to ours", "to keras"])
def test_weight_files_go_both_ways_between_keras_and_ours(direction, mode, tmp_path):
    def network(bn_class, **arguments):
        layers = [keras.layers.Conv2D(4, 3), bn_class(**arguments), keras.layers.Flatten()]
        return keras.Sequential(
            [keras.Input((4, 4, 3)), *layers, bn_class(**arguments), keras.layers.Dense(2)]
        )

    theirs = network(keras.layers.BatchNormalization)
    ours = network(BatchNormalization, mode=mode)
    source, target = (theirs, ours) if direction == "to ours" else (ours, theirs)
    random = np.random.default_rng(3)
    for variable in source.weights:
        variable.assign(random.uniform(0.5, 2.0, variable.shape))
    source.save_weights(tmp_path / "model.weights.h5")
    target.load_weights(tmp_path / "model.weights.h5")
    written = {v.path: v.numpy() for layer in source.layers for v in layer.weights}
    pairs = zip(source.layers, target.layers, strict=True)
    compared = 0
    for source_layer, target_layer in pairs:
        values = state(source_layer)
        assert set(values) == set(state(target_layer))
        for name, value in state(target_layer).items():
            np.testing.assert_array_equal(value, values[name])
            compared += 1
    assert compared == len(written) == 12


@pytest.mark.parametrize(("images", "synchronized"), [(15, False), (16, False), (15, True)])
def test_statistics_of_small_shares_that_drift_apart_are_warned_of(
    images, synchronized, monkeypatch
):
    layer = BatchNormalization(name="bn", synchronized=synchronized)
    layer.build((images, 4))

    class Two:
        num_replicas_in_sync = 2

    monkeypatch.setattr(tf.distribute, "get_strategy", Two)
    if images < 16 and not synchronized:
        with pytest.warns(UserWarning, match="'bn' learns statistics on each of 2 replicas alone"):
            layer(np.ones((images, 4), np.float32), training=True)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            layer(np.ones((images, 4), np.float32), training=True)


SYNCHRONIZED = """
import json, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from tl_toolkit.models.batch_norm import BatchNormalization
x = tf.constant(json.loads(sys.argv[1]))
result = open(sys.argv[2], "w")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = BatchNormalization(momentum=0.9, synchronized=True)
    layer.build(x.shape)
halves = strategy.experimental_distribute_values_from_function(
    lambda context: tf.split(x, 2)[context.replica_id_in_sync_group])
outputs = strategy.run(tf.function(lambda half: layer(half, training=True)), (halves,))
result.write(json.dumps({
    "replicas": strategy.num_replicas_in_sync,
    "outputs": tf.concat(strategy.experimental_local_results(outputs), 0).numpy().tolist(),
    "mean": layer.moving_mean.numpy().tolist(),
    "variance": layer.moving_variance.numpy().tolist(),
}))
result.close()
"""


@pytest.mark.slow  # logical devices are made where TensorFlow has not started yet
def test_synchronized_statistics_over_two_devices_are_those_of_one(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 2, 2, 3)).astype("float32")
    x[2:] += 5.0
    script, result = tmp_path / "synchronized.py", tmp_path / "result.json"
    script.write_text(SYNCHRONIZED)
    assert run_script(script, json.dumps(x.tolist()), result) == 0
    printed = json.loads(result.read_text())
    layer = BatchNormalization(momentum=0.9)
    y = layer(x, training=True)
    assert printed["replicas"] == 2
    np.testing.assert_allclose(printed["outputs"], y, atol=1e-5)
    np.testing.assert_allclose(printed["mean"], layer.moving_mean, atol=1e-6)
    np.testing.assert_allclose(printed["variance"], layer.moving_variance, atol=1e-5)
