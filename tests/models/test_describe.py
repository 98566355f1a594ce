"""What a network is can be read off its layers."""

import dataclasses
import json

import keras
import pytest
from families import long_after

from tl_toolkit.catalog import (
    BLOCK_COUNTS,
    CIFAR_STEM,
    IMAGENET_STEM,
    PREPROCESSING,
    V1,
    V1_5,
    Architecture,
)
from tl_toolkit.errors import InputError
from tl_toolkit.models.describe import block_of, describe_architecture, describe_preprocessing
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.models.resnet import build_resnet

TINY = Architecture("basic", (1, 1), width=2, stem="cifar")


@pytest.fixture(scope="module", autouse=True)
def _fresh_keras_state():
    """Once for the module: clearing takes a third of a second a test."""
    yield
    keras.backend.clear_session()


def read_back(model):
    """The architecture from the config, as it comes out of a file's JSON."""
    return describe_architecture(json.loads(json.dumps(model.get_config())))


def shapes_of(architecture):
    """The network without values: its config is all that is read."""
    with keras.StatelessScope(initialize_variables=False):
        return build_resnet(architecture, include_top=False)


def one_where_they_are_the_same(architecture):
    has_variants = architecture.block == "bottleneck" and len(architecture.block_counts) > 1
    return architecture if has_variants else dataclasses.replace(architecture, variant="v1.5")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variant", "stem"),
    [
        ("resnet18", V1, CIFAR_STEM),
        ("resnet50", V1, IMAGENET_STEM),
        ("resnet50", V1_5, CIFAR_STEM),
        *long_after(0, [(name, V1_5, IMAGENET_STEM) for name in BLOCK_COUNTS]),
    ],
)
def test_a_network_is_described_as_it_was_built(name, variant, stem):
    width = 2 if (variant == "v1") == (stem == "cifar") else 3
    architecture = Architecture.named(name, variant=variant, stem=stem, width=width)
    described = read_back(shapes_of(architecture))
    assert described == one_where_they_are_the_same(architecture)
    assert described.name == name


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("basic", (1,), width=1),
        Architecture("bottleneck", (1,), width=64, variant="v1"),
        Architecture("bottleneck", (12,), width=2),
        Architecture("basic", (1, 2, 3), width=5, bn_epsilon=1e-3),
        Architecture("bottleneck", (3, 1, 2), width=2, variant="v1", bn_epsilon=1.001e-5),
        Architecture("bottleneck", (1,) * 6, width=1, stem="cifar"),
        Architecture("basic", (11, 1), width=2, variant="v1"),
    ],
    ids=str,
)
def test_any_depth_and_width_is_described_as_it_was_built(architecture):
    described = read_back(shapes_of(architecture))
    assert described == one_where_they_are_the_same(architecture)


@pytest.mark.parametrize("on", ["features", "logits"])
def test_a_classifier_is_described_by_its_backbone_and_its_preprocessing(on):
    preprocessing = dataclasses.replace(PREPROCESSING["caffe"], image_size=40)
    model = assemble_classifier(TINY, preprocessing, 3, on=on, original_classes=5)
    config = json.loads(json.dumps(model.get_config()))
    assert describe_architecture(config) == TINY
    assert describe_preprocessing(config) == preprocessing


def test_a_network_without_a_preprocessing_layer_says_nothing_of_it():
    assert describe_preprocessing(build_resnet(TINY).get_config()) is None


@pytest.mark.slow
def test_keras_applications_is_the_first_variant_with_its_own_epsilon():
    with keras.StatelessScope(initialize_variables=False):
        model = keras.applications.ResNet50(weights=None, include_top=False)
    assert describe_architecture(model.get_config()) == Architecture.named(
        "resnet50", variant="v1", bn_epsilon=1.001e-5
    )


@pytest.mark.parametrize(
    ("layers", "missing"),
    [
        ([keras.layers.Dense(2, name="predictions")], "conv1_conv"),
        ([keras.layers.Conv2D(2, 3, name="conv1_conv")], "conv1_bn"),
        ([keras.layers.BatchNormalization(name="conv1_bn")], "conv1_conv"),
    ],
)
def test_a_model_that_is_no_resnet_is_refused_with_the_layer_that_it_lacks(layers, missing):
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="other")
    message = (
        f"'other' is not a ResNet with this toolkit's layer names: it has no layer '{missing}'"
    )
    with pytest.raises(InputError, match=message):
        describe_architecture(model.get_config())


@pytest.mark.parametrize(
    ("config", "name"), [({}, None), ({"name": "subclassed", "units": 3}, "subclassed")]
)
def test_a_config_without_layers_is_refused(config, name):
    with pytest.raises(InputError, match=f"{name!r} is not a ResNet .*no layer 'conv1_conv'"):
        describe_architecture(config)


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("conv3_block1_2_conv", "conv3_block1"),
        ("conv5_block36_out", "conv5_block36"),
        ("conv10_block2_0_bn", "conv10_block2"),
        ("conv1_conv", None),
        ("pool1_pool", None),
        ("predictions", None),
        ("my_conv3_block1_2_conv", None),
    ],
)
def test_a_layer_belongs_to_the_block_in_its_name(layer, block):
    assert block_of(layer) == block
