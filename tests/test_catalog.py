"""The catalogue: architectures, preprocessing and weight specs as plain data."""

import json

import hypothesis
import hypothesis.strategies as st
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
    filename=st.none() | words,
)


@hypothesis.settings(deadline=None)
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
def test_feature_channels_are_those_of_the_built_network(name, channels):
    assert Architecture.named(name).feature_channels == channels
    narrow = Architecture.named(name, width=4)
    model = build_resnet(narrow, include_top=False, pooling="avg")
    assert model.output_shape == (None, narrow.feature_channels)
    assert narrow.feature_channels == channels // 16


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
