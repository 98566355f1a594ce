"""The assembled classifier: one flat graph from raw pixels to float32 logits."""

import sys
import traceback

import keras
import numpy as np
import pytest
import tensorflow as tf

from tl_toolkit.catalog import PREPROCESSING, Architecture
from tl_toolkit.errors import InputError
from tl_toolkit.models.deep_graph import load_model
from tl_toolkit.models.head import HEADS, assemble_classifier, new_head
from tl_toolkit.models.resnet import build_resnet

TINY = Architecture("basic", (1, 1), width=4, stem="cifar")
CAFFE = PREPROCESSING["caffe"]
PLACES = {"features": {}, "logits": {"on": "logits", "original_classes": 7}}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3)).astype("float32")


def classifier(place, classes=5, **arguments):
    return assemble_classifier(TINY, CAFFE, classes, **PLACES[place], **arguments)


@pytest.mark.parametrize(
    ("place", "dense"),
    [("features", {"predictions": 5}), ("logits", {"predictions": 7, "new_predictions": 5})],
)
def test_the_graph_is_flat_and_ends_in_the_new_head(place, dense):
    model = classifier(place)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    names = [layer.name for layer in model.layers]
    backbone = [layer.name for layer in build_resnet(TINY, include_top=False).layers]
    assert names == ["image", "preprocessing", *backbone[1:], "avg_pool", *dense]
    assert {layer.name: layer.units for layer in model.layers[-len(dense) :]} == dense
    assert new_head(model).name == names[-1] == HEADS[list(PLACES).index(place)]
    assert new_head(model).units == 5
    assert model.name == TINY.name
    assert classifier(place, name="mine").name == "mine"
    assert all(
        layer.activation is keras.activations.linear for layer in model.layers[-len(dense) :]
    )


@pytest.mark.parametrize("place", PLACES)
def test_logits_are_preprocessing_then_backbone_then_dense(place):
    model = classifier(place, zero_init_head=False)
    backbone = build_resnet(
        TINY,
        include_top=place == "logits",
        pooling="avg",
        input_shape=(None, None, 3),
        classes=7,
        classifier_activation=None,
    )
    head = new_head(model)
    backbone.set_weights(model.get_weights()[: -len(head.weights)])
    caffe = keras.applications.resnet.preprocess_input(PIXELS.copy())
    kernel, bias = head.get_weights()
    expected = backbone(caffe).numpy() @ kernel + bias
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(model(PIXELS), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("zero_init_head", [True, False])
def test_a_head_of_zeros_starts_at_a_loss_of_log_classes(zero_init_head, place):
    model = classifier(place, classes=5, zero_init_head=zero_init_head)
    logits = model(PIXELS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.array([1, 4]), logits)
    assert np.any(logits) != zero_init_head
    assert (abs(loss - np.log(5)) < 1e-6) == zero_init_head


@pytest.mark.parametrize("place", PLACES)
def test_zero_init_residual_reaches_the_backbone(place):
    model = classifier(place, zero_init_residual=True)
    assert not np.any(model.get_layer("conv3_block1_2_bn").gamma)
    assert not np.any(model.get_layer("conv2_block1_2_bn").gamma)
    assert np.all(model.get_layer("conv2_block1_1_bn").gamma.numpy() == 1)


@pytest.mark.parametrize("place", PLACES)
def test_logits_are_float32_under_a_half_precision_policy(place):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = classifier(place, zero_init_head=False)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("conv1_conv").compute_dtype == "bfloat16"
    assert {layer.compute_dtype for layer in model.layers if "predictions" in layer.name} == {
        "float32"
    }
    logits = model(PIXELS)
    assert logits.dtype == tf.float32
    assert np.any(logits != tf.cast(tf.cast(logits, "bfloat16"), "float32"))


@pytest.mark.parametrize("side", [8, 9, 31])
def test_any_image_size_goes_in(side):
    model = classifier("features")
    assert model.input_shape == (None, None, None, 3)
    assert model(np.zeros((3, side, side + 2, 3), "float32")).shape == (3, 5)


@pytest.mark.parametrize("place", PLACES)
def test_a_saved_classifier_loads_with_the_same_logits(place, tmp_path):
    model = classifier(place, zero_init_head=False)
    model.get_layer("conv1_bn").mode = "affine"
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(PIXELS), model(PIXELS))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert loaded.get_layer("preprocessing").record == CAFFE
    assert loaded.get_layer("conv1_bn").mode == "affine"
    assert not loaded.compiled


@pytest.mark.long
def test_a_deep_classifier_has_room_to_recurse(tmp_path):
    # Keras walks a graph with two frames a block: here more than are left, as in 500 blocks.
    blocks, before = 30, sys.getrecursionlimit()
    tight = sum(1 for _ in traceback.walk_stack(None)) + 70
    sys.setrecursionlimit(tight)
    try:
        deep = Architecture("basic", (blocks,), width=1, stem="cifar")
        model = assemble_classifier(deep, CAFFE, classes=2)
        sys.setrecursionlimit(before)
        model.save(tmp_path / "deep.keras")
        sys.setrecursionlimit(tight)
        loaded = load_model(tmp_path / "deep.keras")
        assert sys.getrecursionlimit() == tight
    finally:
        sys.setrecursionlimit(before)
    assert sum(layer.name.endswith("_add") for layer in loaded.layers) == blocks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on": "logit"}, "'logit'.*Did you mean 'logits'"),
        ({"classes": 0}, "`classes`.*0"),
        ({"on": "logits", "original_classes": 0}, "`original_classes`.*0"),
    ],
    ids=str,
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        assemble_classifier(TINY, CAFFE, **{"classes": 5, **arguments})
