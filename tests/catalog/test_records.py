"""The catalogue: architectures, preprocessing and weight specs as plain data."""

import json

import hypothesis
import hypothesis.strategies as st
import keras
import pytest

from tl_toolkit import catalog
from tl_toolkit.catalog import (
    BLOCK_COUNTS,
    BLOCKS,
    STEMS,
    VARIANTS,
    Architecture,
    Preprocessing,
    WeightSpec,
    imagenet,
    list_weights,
)
from tl_toolkit.errors import InputError
from tl_toolkit.models.resnet import build_resnet

finite = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.floats(1e-6, 1e6)
words = st.text(max_size=8)
architectures = st.builds(
    Architecture,
    block=st.sampled_from(BLOCKS),
    block_counts=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    variant=st.sampled_from(VARIANTS),
    width=st.integers(1, 128),
    stem=st.sampled_from(STEMS),
    bn_epsilon=positive,
)
preprocessings = st.builds(
    Preprocessing,
    channel_order=st.sampled_from(("rgb", "bgr")),
    scale=positive,
    mean=st.tuples(finite, finite, finite),
    std=st.tuples(positive, positive, positive),
    image_size=st.integers(8, 1024),
    crop_fraction=st.floats(0.01, 1),
    interpolation=st.sampled_from(("bilinear", "bicubic")),
    resize=st.sampled_from(("crop", "squash", "letterbox")),
)
specs = st.builds(
    WeightSpec,
    name=words,
    architecture=architectures,
    preprocessing=st.none() | preprocessings,
    class_names=st.lists(words, max_size=4).map(tuple),
    classes=st.integers(0, 1000),
    trained_on=words,
    top1=st.none() | st.floats(0, 1),
    licence=words,
    sha256=st.none() | words,
    source=words,
    filename=st.none() | words,
)


@pytest.mark.slow
@hypothesis.given(spec=specs)
def test_a_weight_spec_survives_json(spec):
    restored = WeightSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert restored == spec
    assert hash(restored) == hash(spec)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        *((Architecture(*spec), name) for name, spec in BLOCK_COUNTS.items()),
        (
            Architecture("bottleneck", (3, 4, 6, 3), variant="v1", width=16, stem="cifar"),
            "resnet50",
        ),
        (Architecture("bottleneck", (2, 2, 2, 2)), "resnet26"),
        (Architecture("basic", (9, 9, 9)), "resnet56"),
        (Architecture("bottleneck", (4, 4, 4, 4)), "resnet50_4_4_4_4"),
        (Architecture("basic", (200, 200, 200)), "resnet1202"),
    ],
    ids=str,
)
def test_the_name_counts_the_layers_of_the_paper(architecture, name):
    assert architecture.name == name


def test_blocks_are_named_by_stage_and_place():
    assert Architecture("basic", (2, 1, 3)).block_names == (
        "conv2_block1",
        "conv2_block2",
        "conv3_block1",
        "conv4_block1",
        "conv4_block2",
        "conv4_block3",
    )
    assert len(Architecture.named("resnet152").block_names) == 3 + 8 + 36 + 3
    assert Architecture.named("resnet152").block_names[-1] == "conv5_block3"


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", 512),
        ("resnet34", 512),
        ("resnet50", 2048),
        ("resnet101", 2048),
        ("resnet152", 2048),
    ],
)
def test_feature_channels_are_those_of_the_paper(name, channels):
    assert Architecture.named(name).feature_channels == channels


@pytest.mark.parametrize(("name", "channels"), [("resnet18", 32), ("resnet50", 128)])
def test_feature_channels_are_those_of_the_built_network(name, channels):
    narrow = Architecture.named(name, width=4)
    with keras.StatelessScope(initialize_variables=False):
        model = build_resnet(narrow, include_top=False, pooling="avg")
    assert model.output_shape == (None, narrow.feature_channels)
    assert narrow.feature_channels == channels


def test_a_network_ends_with_the_stage_that_is_asked_for():
    whole = Architecture.named("resnet50", width=32)
    assert whole.stages == ("conv2", "conv3", "conv4", "conv5")
    shorter = whole.up_to("conv4")
    assert shorter == Architecture("bottleneck", (3, 4, 6), width=32)
    assert shorter.block_names == whole.block_names[:13]
    assert (shorter.feature_channels, whole.up_to("conv2").feature_channels) == (512, 128)
    assert whole.up_to("conv5") == whole
    assert (whole.description, shorter.description) == ("resnet50", "resnet50 up to conv4")
    assert (whole.whole_name, shorter.whole_name, shorter.name) == (
        "resnet50",
        "resnet50",
        "resnet41",
    )
    other = Architecture("basic", (1, 5))
    assert other.description == other.whole_name == other.name
    with pytest.raises(InputError, match=r"conv6.*conv2, conv3, conv4, conv5"):
        whole.up_to("conv6")


def test_named_replaces_fields_and_refuses_unknown_names():
    wide = Architecture.named("resnet34", width=128, variant="v1", stem="cifar", bn_epsilon=1e-3)
    assert wide == Architecture("basic", (3, 4, 6, 3), "v1", 128, "cifar", 1e-3)
    with pytest.raises(InputError, match=r"'resnet51'\. Did you mean .*'resnet50'"):
        Architecture.named("resnet51")


def test_weights_are_listed_by_architecture(monkeypatch):
    eighteen = WeightSpec("a", Architecture.named("resnet18", width=16))
    fifty = WeightSpec("b", Architecture.named("resnet50"))
    monkeypatch.setattr(catalog, "CATALOG", {"a": eighteen, "b": fifty})
    assert list_weights() == (eighteen, fifty)
    assert list_weights("resnet18") == (eighteen,)
    assert list_weights("resnet34") == ()
    with pytest.raises(InputError, match=r"backbone 'resnet_18'\. Did you mean 'resnet18'"):
        list_weights("resnet_18")


def test_imagenet_has_a_thousand_different_names_in_the_order_of_wordnet():
    names = imagenet.imagenet_class_names()
    assert len(set(names)) == len(names) == 1000
    known = {0: "tench", 1: "goldfish", 207: "golden retriever", 283: "Persian cat", 698: "palace",
             985: "daisy", 999: "toilet tissue"}  # fmt: skip
    assert {number: names[number] for number in known} == known


def test_there_are_weights_of_every_depth():
    sets = [spec for spec in list_weights() if spec.trained_on == "ImageNet-1k"]
    assert len(sets) == len({spec.name for spec in sets}) >= 50
    by_depth = {name: sum(s.architecture.name == name for s in sets) for name in BLOCK_COUNTS}
    assert by_depth == {
        "resnet18": 8,
        "resnet34": 6,
        "resnet50": 21,
        "resnet101": 9,
        "resnet152": 9,
    }
    assert all(spec.classes == 1000 and spec.licence for spec in sets)


# Spot checks against the sources: timm's configuration and model card, torchvision's documentation.
@pytest.mark.parametrize(
    ("name", "crop", "interpolation", "top1", "licence"),
    [
        ("resnet18.tv_in1k", 224 / 256, "bilinear", 0.6976, "BSD-3-Clause"),
        ("resnet50.tv2_in1k", 0.965, "bilinear", 0.8085, "BSD-3-Clause"),
        ("resnet50.a1_in1k", 0.95, "bicubic", 0.8038, "Apache-2.0"),
        ("resnet152.a3_in1k", 0.95, "bicubic", 0.8056, "Apache-2.0"),
        ("resnet101.gluon_in1k", 0.875, "bicubic", 0.7931, "Apache-2.0"),
        ("resnet50.fb_swsl_ig1b_ft_in1k", 0.875, "bilinear", 0.8118, "CC-BY-NC-4.0"),
    ],
)
def test_a_record_has_what_its_authors_publish(name, crop, interpolation, top1, licence):
    spec = catalog.CATALOG[name]
    assert spec.preprocessing == Preprocessing(
        scale=1 / 255,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        image_size=224,
        crop_fraction=crop,
        interpolation=interpolation,
    )
    assert (spec.top1, spec.licence, spec.source) == (top1, licence, f"hf://timm/{name}")
    assert spec.forbids_commercial_use == (licence == "CC-BY-NC-4.0")
    assert (spec.architecture.variant, spec.architecture.bn_epsilon) == ("v1.5", 1e-5)


def test_kerass_own_are_v1_with_caffe_preprocessing():
    for name in ("resnet50.keras_in1k", "resnet101.keras_in1k", "resnet152.keras_in1k"):
        spec = catalog.CATALOG[name]
        assert (spec.architecture.variant, spec.architecture.bn_epsilon) == ("v1", 1.001e-5)
        assert (spec.preprocessing.channel_order, spec.preprocessing.mean) == (
            "bgr",
            (103.939, 116.779, 123.68),
        )


def test_every_depth_has_its_more_accurate_weights_first():
    for name in BLOCK_COUNTS:
        hub = [spec.top1 for spec in list_weights(name) if spec.source.startswith("hf://")]
        assert hub == sorted(hub, reverse=True), name


def test_which_weights_are_known_to_be_of_hard_labels():
    found = [spec.name for spec in list_weights("resnet50") if spec.hard_labels]
    assert found == ["resnet50.tv_in1k", "resnet50.keras_in1k", "resnet50.npm_in1k"]
    assert not catalog.CATALOG["resnet50.tv2_in1k"].hard_labels
