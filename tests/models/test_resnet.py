"""Each ResNet is the network of the paper, layer by layer and number by number."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from families import long_after

from tl_toolkit.catalog import BLOCK_COUNTS, Architecture
from tl_toolkit.errors import InputError
from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.models.deep_graph import load_model
from tl_toolkit.models.resnet import (
    block_layout,
    build_resnet,
    convolution,
    kernels_follow,
    residual_block,
    stem,
)

# With 1,000 classes and without batch statistics, as torchvision counts them.
PARAMETER_COUNTS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}
TINY = Architecture("bottleneck", (1, 1), width=4)


def layers_of(model, layer_class):
    return [layer for layer in model.layers if isinstance(layer, layer_class)]


def consumers(model, layer):
    """The layers that take the layer's output."""
    return [
        other
        for other in model.layers
        if any(
            tensor is layer.output for node in other._inbound_nodes for tensor in node.input_tensors
        )
    ]


def randomise(model, seed=0):
    """Weights of a network whose every variable shows in the output."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.name == "kernel":
            fan_in = np.prod(variable.shape[:-1])
            variable.assign(random.normal(0, fan_in**-0.5, variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.name == "gamma":
            variable.assign(random.uniform(0.7, 1.3, variable.shape))
        else:
            variable.assign(random.normal(0, 0.3, variable.shape))


def shapes_of(architecture, **arguments):
    """The network without values, which take longer to draw than the graph to build."""
    with keras.StatelessScope(initialize_variables=False):
        return build_resnet(architecture, **arguments)


@pytest.mark.parametrize("name", PARAMETER_COUNTS)
def test_parameters_are_those_of_the_published_networks(name):
    model = shapes_of(Architecture.named(name))
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == PARAMETER_COUNTS[name]
    statistics = {v.name for v in model.non_trainable_variables}
    assert statistics == {"moving_mean", "moving_variance"}
    assert model.name == name
    assert len(layers_of(model, keras.layers.Add)) == sum(BLOCK_COUNTS[name][1])


@pytest.mark.long  # two networks of full width: the depth that is compared by numbers
def test_resnet50_v1_is_layer_by_layer_that_of_keras_applications():
    theirs = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3))
    ours = build_resnet(
        Architecture.named("resnet50", variant="v1", bn_epsilon=1.001e-5), input_shape=(64, 64, 3)
    )

    def shapes(model):
        return {
            layer.name: [tuple(v.shape) for v in layer.weights if v.name != "bias"]
            for layer in model.layers
            if layer.weights
        }

    assert shapes(ours) == shapes(theirs)
    assert len(layers_of(ours, keras.layers.Conv2D)) == 53
    assert [layer.name for layer in layers_of(ours, keras.layers.Activation)] == [
        layer.name for layer in layers_of(theirs, keras.layers.Activation)
    ]

    randomise(theirs)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.Conv2D):
            ours.get_layer(layer.name).kernel.assign(layer.kernel)
        elif isinstance(layer, keras.layers.BatchNormalization):
            bias = theirs.get_layer(layer.name.replace("_bn", "_conv")).bias
            mine = ours.get_layer(layer.name)
            mine.gamma.assign(layer.gamma)
            mine.beta.assign(layer.beta)
            mine.moving_mean.assign(layer.moving_mean - bias)
            mine.moving_variance.assign(layer.moving_variance)
        elif layer.weights:
            ours.get_layer(layer.name).set_weights(layer.get_weights())
    x = np.random.default_rng(1).normal(size=(2, 64, 64, 3)).astype("float32")
    expected = theirs(x).numpy()
    # Random weights tell the images and the classes apart, so equality says something.
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    assert expected.max() > 2e-3
    np.testing.assert_allclose(ours(x), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", BLOCK_COUNTS)
def test_blocks_project_where_the_shape_changes(name):
    layout = block_layout(Architecture.named(name))
    projecting = {block: stride for block, _, stride, projection in layout if projection}
    from_conv3 = {"conv3_block1": 2, "conv4_block1": 2, "conv5_block1": 2}
    is_basic = name in ("resnet18", "resnet34")
    assert projecting == (from_conv3 if is_basic else {"conv2_block1": 1, **from_conv3})
    assert {stride for _, _, stride, projection in layout if not projection} == {1}
    assert [block for block, *_ in layout] == list(Architecture.named(name).block_names)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_the_layout_is_what_is_built(block):
    architecture = Architecture(block, (2, 2, 1), width=16, stem="cifar")
    model = build_resnet(architecture, include_top=False)
    for name, filters, stride, projection in block_layout(architecture):
        convolutions = [
            layer
            for layer in layers_of(model, keras.layers.Conv2D)
            if layer.name.startswith(f"{name}_")
        ]
        kinds = {layer.name.removeprefix(f"{name}_"): layer for layer in convolutions}
        assert ("0_conv" in kinds) == projection
        kernels = {kind: layer.kernel_size[0] for kind, layer in kinds.items() if kind != "0_conv"}
        if block == "basic":
            assert kernels == {"1_conv": 3, "2_conv": 3}
            assert [layer.filters for layer in convolutions if layer.kernel_size == (3, 3)] == (
                [filters] * 2
            )
        else:
            assert kernels == {"1_conv": 1, "2_conv": 3, "3_conv": 1}
            assert kinds["3_conv"].filters == 4 * filters
            assert kinds["1_conv"].filters == kinds["2_conv"].filters == filters
        assert np.prod([layer.strides[0] for kind, layer in kinds.items() if kind != "0_conv"]) == (
            stride
        )
        if projection:
            assert kinds["0_conv"].kernel_size == (1, 1)
            assert kinds["0_conv"].strides == (stride, stride)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variant"),
    long_after(1, [("resnet50", "v1.5"), ("resnet18", "v1"), ("resnet50", "v1")]),
)
def test_stages_halve_an_image_of_224_to_7(name, variant):
    model = shapes_of(
        Architecture.named(name, variant=variant), include_top=False, input_shape=(224, 224, 3)
    )
    tensors = {"conv1_relu": 112, "pool1_pool": 56}
    for stage, blocks in enumerate(BLOCK_COUNTS[name][1], start=2):
        tensors[f"conv{stage}_block{blocks}_out"] = (56, 28, 14, 7)[stage - 2]
    sides = {n: model.get_layer(n).output.shape for n in tensors}
    assert {n: shape[1:3] for n, shape in sides.items()} == {n: (s, s) for n, s in tensors.items()}
    channels = [sides[n][3] for n in tensors]
    expected = [64, 128, 256, 512] if name == "resnet18" else [256, 512, 1024, 2048]
    assert channels == [64, 64, *expected]


@pytest.mark.parametrize(
    ("block", "variant", "strides"),
    [
        ("bottleneck", "v1", [2, 1, 1]),
        ("bottleneck", "v1.5", [1, 2, 1]),
        ("basic", "v1", [2, 1]),
        ("basic", "v1.5", [2, 1]),
    ],
)
def test_the_variant_says_which_convolution_strides(block, variant, strides):
    model = build_resnet(Architecture(block, (1, 1), variant=variant, width=16), include_top=False)
    built = [
        model.get_layer(f"conv3_block1_{index}_conv").strides
        for index in range(1, len(strides) + 1)
    ]
    assert built == [(stride, stride) for stride in strides]


@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize(
    ("kernel_size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 2), (7, 2)]
)
def test_convolutions_pad_alike_on_all_sides(kernel_size, stride, side, channels):
    inputs = keras.Input((side, side, channels))
    model = keras.Model(inputs, convolution(inputs, 4, kernel_size, stride, "c"))
    x = np.random.default_rng(0).normal(size=(2, side, side, channels)).astype("float32")
    border = kernel_size // 2
    padded = np.pad(x, [(0, 0), (border, border), (border, border), (0, 0)])
    expected = tf.nn.conv2d(padded, model.get_layer("c_conv").kernel.value, stride, "VALID")
    assert model.output.shape[1:] == expected.shape[1:]
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


def test_the_imagenet_stem_pads_by_3_and_pools_with_a_border_of_1():
    inputs = keras.Input((17, 17, 3))
    model = keras.Model(inputs, stem(inputs, Architecture("basic", (1,), width=5)))
    randomise(model)
    x = np.random.default_rng(0).normal(size=(2, 17, 17, 3)).astype("float32")
    conv1 = model.get_layer("conv1_conv")
    assert conv1.kernel.shape == (7, 7, 3, 5)
    y = tf.nn.conv2d(np.pad(x, [(0, 0), (3, 3), (3, 3), (0, 0)]), conv1.kernel.value, 2, "VALID")
    bn = model.get_layer("conv1_bn")
    y = (y - bn.moving_mean) / np.sqrt(bn.moving_variance + 1e-5) * bn.gamma + bn.beta
    border = [(0, 0), (1, 1), (1, 1), (0, 0)]
    y = np.pad(np.maximum(y, 0), border, constant_values=-np.inf)
    expected = tf.nn.max_pool2d(y, 3, 2, "VALID")
    assert expected.shape == (2, 5, 5, 5)
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


@pytest.mark.parametrize("stem_name", ["imagenet", "cifar"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_batch_normalisation_stands_between_a_bias_free_convolution_and_its_activation(
    block, stem_name
):
    architecture = Architecture(block, (2, 2), width=4, stem=stem_name, bn_epsilon=2e-5)
    model = build_resnet(architecture)
    convolutions = layers_of(model, keras.layers.Conv2D)
    branch = 2 if block == "basic" else 3
    assert len(convolutions) == 1 + 4 * branch + (1 if block == "basic" else 2)
    for layer in convolutions:
        assert layer.bias is None
        (bn,) = consumers(model, layer)
        assert type(bn) is BatchNormalization
        assert bn.epsilon == 2e-5
        (after,) = consumers(model, bn)
        feeds_the_sum = layer.name.endswith((f"_{branch}_conv", "_0_conv"))
        assert type(after) is (keras.layers.Add if feeds_the_sum else keras.layers.Activation)
    assert len(layers_of(model, BatchNormalization)) == len(convolutions)
    for layer in layers_of(model, keras.layers.Add):
        (after,) = consumers(model, layer)
        assert after.activation is keras.activations.relu


@pytest.mark.parametrize("shape", [(16, 24, 3), (None, None, 3), (None, 24, 1)])
def test_the_cifar_stem_keeps_the_image_size(shape):
    architecture = Architecture("basic", (1, 1), width=16, stem="cifar")
    model = build_resnet(architecture, include_top=False, input_shape=shape)
    assert model.input_shape == (None, *shape)
    conv1 = model.get_layer("conv1_conv")
    assert (conv1.kernel_size, conv1.strides, conv1.filters) == ((3, 3), (1, 1), 16)
    assert layers_of(model, keras.layers.MaxPooling2D) == []
    assert model(np.zeros((2, 16, 24, shape[-1]))).shape == (2, 8, 12, 32)


def test_width_multiplies_every_convolution():
    narrow, wide = (
        build_resnet(Architecture("bottleneck", (1, 1), width=width), include_top=False)
        for width in (2, 6)
    )
    filters = [
        [layer.filters for layer in layers_of(model, keras.layers.Conv2D)]
        for model in (narrow, wide)
    ]
    assert filters[1] == [3 * n for n in filters[0]]
    assert filters[0][0] == 2


@pytest.mark.parametrize(
    ("pooling", "reduce"), [(None, lambda y: y), ("avg", np.mean), ("max", np.max)]
)
def test_pooling_reduces_the_last_feature_map(pooling, reduce):
    model = build_resnet(TINY, include_top=False, pooling=pooling, input_shape=(16, 16, 3))
    feature_map = keras.Model(model.input, model.get_layer("conv3_block1_out").output)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    y = feature_map(x).numpy()
    assert y.shape == (2, 2, 2, TINY.feature_channels)
    expected = y if pooling is None else reduce(y, axis=(1, 2))
    np.testing.assert_allclose(model(x), expected, atol=1e-6)


def test_the_top_is_average_pooling_and_a_dense_layer():
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    logits = build_resnet(TINY, input_shape=(16, 16, 3), classes=7, classifier_activation=None)
    randomise(logits)
    probabilities = build_resnet(TINY, input_shape=(16, 16, 3), classes=7)
    probabilities.set_weights(logits.get_weights())
    features = keras.Model(logits.input, logits.get_layer("conv3_block1_out").output)(x)
    kernel, bias = logits.get_layer("predictions").get_weights()
    expected = np.mean(features, axis=(1, 2)) @ kernel + bias
    assert kernel.shape == (TINY.feature_channels, 7)
    np.testing.assert_allclose(logits(x), expected, atol=1e-5)
    np.testing.assert_allclose(probabilities(x), tf.nn.softmax(expected), atol=1e-6)


def test_defaults_are_1000_classes_on_224_pixels_and_any_size_without_the_top():
    assert build_resnet(TINY).input_shape == (None, 224, 224, 3)
    assert build_resnet(TINY).output_shape == (None, 1000)
    assert build_resnet(TINY, include_top=False).input_shape == (None, None, None, 3)
    assert build_resnet(TINY).name == "resnet8"
    assert build_resnet(TINY, name="mine").name == "mine"


def test_the_top_stays_in_float32_under_a_half_precision_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_resnet(TINY, input_shape=(16, 16, 3), classes=3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("conv1_conv").compute_dtype == "bfloat16"
    assert model(np.ones((1, 16, 16, 3))).dtype == tf.float32


@pytest.mark.filterwarnings("error::UserWarning")
def test_an_input_tensor_is_built_on_in_one_flat_graph():
    images = keras.Input((16, 16, 3), name="pixels")
    scaled = keras.layers.Rescaling(0.5, name="half")(images)
    on_tensor = build_resnet(TINY, input_tensor=scaled, classes=3)
    plain = build_resnet(TINY, input_shape=(16, 16, 3), classes=3)
    plain.set_weights(on_tensor.get_weights())
    assert [layer.name for layer in on_tensor.layers[:2]] == ["pixels", "half"]
    assert layers_of(on_tensor, keras.Model) == []
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(on_tensor(x), plain(x / 2), atol=1e-6)


def test_convolutions_start_with_a_variance_of_2_over_their_inputs():
    model = build_resnet(Architecture("basic", (1,)), include_top=False)
    kernel = model.get_layer("conv2_block1_1_conv").kernel.numpy()
    # He et al. 2015, "Delving Deep into Rectifiers", section 2.2.
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (3 * 3 * 64)), rtol=0.02)
    np.testing.assert_allclose(kernel.mean(), 0, atol=1e-3)


def test_kernels_that_follow_begin_at_0_and_a_copy_of_the_network_is_random_again():
    with kernels_follow():
        model = build_resnet(TINY, include_top=False)
    usual = build_resnet(TINY, include_top=False)
    for layer in layers_of(model, keras.layers.Conv2D):
        assert not layer.kernel.numpy().any()
        assert usual.get_layer(layer.name).kernel.numpy().all()
    assert model.get_config()["layers"] == usual.get_config()["layers"]
    for layer in layers_of(keras.models.clone_model(model), keras.layers.Conv2D):
        assert layer.kernel.numpy().any()


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("zero_init", [True, False])
def test_zero_init_residual_makes_every_block_start_as_its_shortcut(zero_init, block):
    architecture = Architecture(block, (2, 2), width=4, stem="cifar")
    model = build_resnet(
        architecture,
        include_top=False,
        input_shape=(8, 8, 3),
        zero_init_residual=zero_init,
    )
    last = "2" if block == "basic" else "3"
    zero = {layer.name for layer in layers_of(model, BatchNormalization) if not np.any(layer.gamma)}
    expected = {f"{name}_{last}_bn" for name in architecture.block_names}
    assert zero == (expected if zero_init else set())
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    for name in architecture.block_names:
        add = model.get_layer(f"{name}_add")
        shortcut, output = keras.Model(
            model.input, [add.input[0], model.get_layer(f"{name}_out").output]
        )(x, training=True)
        difference = np.abs(output - np.maximum(shortcut, 0)).max()
        assert (difference == 0) if zero_init else (difference > 0.1)


@pytest.mark.long  # half a minute; test_head.py holds fewer blocks under a lower limit
def test_a_network_of_over_1000_layers_builds_trains_saves_and_loads(tmp_path):
    limit = sys.getrecursionlimit()
    architecture = Architecture("basic", (70, 70, 70), width=4, stem="cifar")
    model = build_resnet(
        architecture,
        input_shape=(8, 8, 3),
        classes=3,
        classifier_activation=None,
        zero_init_residual=True,
    )
    assert model.name == "resnet422"
    projections = 2
    weighted = layers_of(model, (keras.layers.Conv2D, keras.layers.Dense))
    assert len(weighted) == 422 + projections
    assert len(model.layers) > limit == 1000  # the longest path is nearly as long

    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    before = [v.numpy() for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = loss_of(np.array([0, 2]), model(x, training=True))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    keras.optimizers.SGD(0.01).apply(gradients, model.trainable_variables)
    deepest = model.get_layer("conv4_block70_2_bn").gamma
    moved = {
        v.path
        for v, earlier in zip(model.trainable_variables, before, strict=True)
        if np.any(v.numpy() != earlier)
    }
    assert {deepest.path, model.get_layer("conv1_conv").kernel.path} <= moved

    expected = model(x).numpy()
    assert np.isfinite(expected).all()
    assert np.abs(expected[0] - expected[1]).max() > 0.01
    model.save(tmp_path / "deep.keras")
    loaded = load_model(tmp_path / "deep.keras")
    np.testing.assert_array_equal(loaded(x), expected)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert sys.getrecursionlimit() == limit


def test_a_shortcut_of_another_shape_is_refused_with_both_shapes():
    x = keras.Input((8, 8, 4))
    with pytest.raises(
        InputError, match=r"'b' .*\(None, 8, 8, 4\).*\(None, 4, 4, 6\).*projection=True"
    ):
        residual_block(x, "basic", 6, 2, False, "b")
    assert residual_block(x, "basic", 6, 2, True, "c").shape == (None, 4, 4, 6)
    assert residual_block(x, "bottleneck", 1, 1, False, "d").shape == (None, 8, 8, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block": "botleneck"}, "'botleneck'.*Did you mean 'bottleneck'"),
        ({"variant": "v1.6"}, r"'v1\.6'.*Did you mean 'v1\.5'"),
        ({"stem": "imagnet"}, "'imagnet'.*Did you mean 'imagenet'"),
        ({"block_counts": ()}, r"`block_counts`.*\(\)"),
        ({"block_counts": (2, 0)}, r"`block_counts`.*\(2, 0\)"),
        ({"block_counts": 5}, r"`block_counts`.*5"),
        ({"block_counts": ("a",)}, r"`block_counts`.*a"),
        ({"block_counts": (2.9,)}, r"`block_counts`.*2\.9"),
        ({"width": 0}, "`width`.*0"),
        ({"bn_epsilon": 0.0}, r"`bn_epsilon`.*0\.0"),
    ],
    ids=str,
)
def test_an_impossible_architecture_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Architecture(**{"block": "basic", "block_counts": (2, 2), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "mean"}, "`pooling`.*'mean'"),
        ({"classes": 0}, "`classes`.*0"),
        ({"input_shape": (32, 32)}, r"`input_shape`.*\(32, 32\)"),
        ({"input_shape": (32, 32, None)}, r"`input_shape`.*\(32, 32, None\)"),
        (
            {"input_shape": (32, 32, 3), "input_tensor": "x"},
            "`input_tensor` or `input_shape`, not both",
        ),
    ],
    ids=str,
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        build_resnet(TINY, **arguments)


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(InputError, match=r"channels_last.*'channels_first'"):
            build_resnet(TINY)
    finally:
        keras.config.set_image_data_format("channels_last")
