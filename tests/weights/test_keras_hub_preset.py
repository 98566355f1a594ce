"""KerasHub's presets: the same numbers as KerasHub's own models, and its preprocessing."""

import json
import os
import pathlib
import sys

import keras_hub
import numpy as np
import pytest
from tiny import randomise

import tl_toolkit as tl
from tl_toolkit.errors import InputError
from tl_toolkit.models.preprocessing import ImagePreprocessing
from tl_toolkit.weights import keras_hub_preset
from tl_toolkit.weights.resolve import open_weights

BLOCK_COUNTS = {
    "small": ("bottleneck_block", [2, 1]),
    18: ("basic_block", [2, 2, 2, 2]),
    34: ("basic_block", [3, 4, 6, 3]),
    50: ("bottleneck_block", [3, 4, 6, 3]),
    101: ("bottleneck_block", [3, 4, 23, 3]),
    152: ("bottleneck_block", [3, 8, 36, 3]),
}


def backbone(depth, **fields):
    block_type, counts = BLOCK_COUNTS[depth]
    model = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512][: len(counts)],
        stackwise_num_blocks=counts,
        stackwise_num_strides=[1, 2, 2, 2][: len(counts)],
        block_type=block_type,
        **fields,
    )
    last = "_2_bn" if block_type == "basic_block" else "_3_bn"
    for layer in randomise(model).layers:
        if layer.name.endswith(last):
            layer.gamma.assign(layer.gamma * 0.3)
    return model


@pytest.mark.parametrize(
    "depth",
    [
        "small",
        pytest.param(18, marks=pytest.mark.long),
        pytest.param(34, marks=pytest.mark.long),
        pytest.param(50, marks=pytest.mark.long),
        pytest.param(101, marks=pytest.mark.long),
        pytest.param(152, marks=pytest.mark.long),
    ],
)
def test_every_depth_gives_their_numbers(depth, tmp_path):
    theirs = backbone(depth)
    theirs.save_to_preset(str(tmp_path / "preset"))
    block, counts = BLOCK_COUNTS[depth]
    ours = tl.ResNet(
        counts, block.removesuffix("_block"), include_top=False, weights=tmp_path / "preset"
    )
    for side in (224, 97):
        image = np.random.default_rng(side).normal(0, 1, (1, side, side, 3)).astype(np.float32)
        expected = np.asarray(theirs(image, training=False))
        difference = np.abs(ours(image).numpy() - expected).max()
        assert difference <= 1e-4 * np.abs(expected).max(), (side, difference)


@pytest.fixture(scope="module")
def classifier_preset(tmp_path_factory):
    """A classifier with its preprocessing, saved as a preset, and what it answers to raw pixels."""
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(64, 64), scale=[1 / 58.0, 1 / 57.0, 1 / 56.0], offset=[-2.1, -2.0, -1.8]
    )
    task = keras_hub.models.ResNetImageClassifier(
        backbone=backbone(18),
        num_classes=7,
        activation=None,
        preprocessor=keras_hub.models.ResNetImageClassifierPreprocessor(image_converter=converter),
    )
    randomise(task)
    folder = tmp_path_factory.mktemp("preset") / "resnet_18_seven"
    task.save_to_preset(str(folder))
    pixels = np.random.default_rng(2).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    return folder, pixels, np.asarray(task(np.asarray(converter(pixels)), training=False))


@pytest.mark.slow
def test_a_classifier_comes_with_its_head_and_its_preprocessing(classifier_preset):
    folder, pixels, expected = classifier_preset
    spec = open_weights(folder).spec
    assert (spec.architecture.name, spec.architecture.variant, spec.classes) == (
        "resnet18",
        "v1.5",
        7,
    )
    assert spec.preprocessing.image_size == 64
    ours = tl.ResNet18(
        weights=folder, classes=7, input_shape=(64, 64, 3), classifier_activation=None
    )
    answer = ours(ImagePreprocessing(spec.preprocessing)(pixels)).numpy()
    assert np.abs(answer - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("use_pre_activation", True, "is a ResNet-V2"),
        ("block_type", "basic_block_vd", "is a ResNet-VD"),
    ],
)
def test_their_other_networks_are_refused(field, value, message, classifier_preset, tmp_path):
    config = json.loads((classifier_preset[0] / "config.json").read_text())
    config["config"][field] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "metadata.json").write_text("{}")
    with pytest.raises(InputError, match=message):
        open_weights(tmp_path)


def test_another_preset_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"class_name": "BertBackbone", "config": {}}')
    (tmp_path / "metadata.json").write_text("{}")
    with pytest.raises(InputError, match="is not a ResNet preset: it is 'BertBackbone'"):
        open_weights(tmp_path)


def test_a_preset_whose_config_is_not_whole_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"class_name": "ResNetBackbone", "config": {}}')
    (tmp_path / "metadata.json").write_text("{}")
    with pytest.raises(InputError, match="lacks block_type, stackwise_num_blocks, stackwise_num"):
        open_weights(tmp_path)


def test_a_preset_that_kerashub_does_not_know_is_said():
    with pytest.raises(InputError, match="KerasHub has no ResNet preset 'resnet_9'; it has"):
        open_weights("keras-hub:resnet_9")


def test_without_kerashub_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(keras_hub_preset.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"KerasHub is not installed.*tl-toolkit\[keras-hub\]"):
        open_weights("keras-hub:resnet_18_imagenet")
    assert keras_hub_preset.find_cached(tl.list_weights("resnet18")[-1]) is None


def test_a_downloaded_preset_is_found(monkeypatch, tmp_path):
    folder = tmp_path / "models" / "keras" / "resnetv1" / "keras" / "resnet_18_imagenet" / "3"
    folder.mkdir(parents=True)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    spec = next(s for s in tl.list_weights("resnet18") if s.name == "resnet18.kerashub_in1k")
    assert keras_hub_preset.find_cached(spec) is None
    for name in ("config.json", "metadata.json"):
        (folder / name).write_text("{}")
    assert keras_hub_preset.find_cached(spec) == folder


def test_a_cache_that_can_only_be_read_is_read_and_ours_takes_the_rest(
    monkeypatch, tmp_path, capsys
):
    import kagglehub

    def download(handle):
        folder = pathlib.Path(os.environ["KAGGLEHUB_CACHE"], "models", *handle.split("/"))
        folder.mkdir(parents=True)
        print("kagglehub's bar", file=sys.stderr)
        return str(folder)

    monkeypatch.setattr(kagglehub, "model_download", download)
    monkeypatch.setattr(keras_hub_preset, "folder_can_be_made", lambda folder: False)
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KAGGLEHUB_CACHE", raising=False)
    fetched = keras_hub_preset.fetch_preset("keras-hub:resnet_18_imagenet")
    assert fetched.is_relative_to(tmp_path / "cache" / "kagglehub")
    assert "KAGGLEHUB_CACHE" not in os.environ
    assert capsys.readouterr().err == ""
    there = (
        tmp_path / ".cache" / "kagglehub" / keras_hub_preset.HANDLES / "resnet_18_imagenet" / "1"
    )
    there.mkdir(parents=True)
    for name in ("config.json", "metadata.json"):
        (there / name).write_text("{}")
    assert keras_hub_preset.fetch_preset("keras-hub:resnet_18_imagenet") == there
