"""timm's and torchvision's weights: the same numbers as a forward pass written without our builders."""

import dataclasses
import hashlib
import json
import shutil
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy
import torch
from families import long_after
from torch_names import logits, state_dict

import tl_toolkit as tl
from tl_toolkit import catalog
from tl_toolkit.catalog import BLOCK_COUNTS, PREPROCESSING
from tl_toolkit.catalog.imagenet import imagenet_class_names
from tl_toolkit.errors import InputError
from tl_toolkit.weights.load import load_weights
from tl_toolkit.weights.resolve import open_weights

SMALL = {"block_counts": (1, 1, 1, 1), "block": "bottleneck", "width": 16, "classes": 5}
CONFIG = {
    "architecture": "resnet_small",
    "num_classes": 5,
    "pretrained_cfg": {
        "tag": "a1_in1k",
        "input_size": [3, 160, 160],
        "test_input_size": [3, 224, 224],
        "crop_pct": 0.95,
        "test_crop_pct": 0.965,
        "interpolation": "bicubic",
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.25, 0.3],
        "license": "apache-2.0",
    },
}


def small_state(**fields):
    return state_dict("bottleneck", (1, 1, 1, 1), width=16, classes=5, **fields)


def small_network(**fields):
    return tl.ResNet(**SMALL, input_shape=(None, None, 3), classifier_activation=None, **fields)


def save(path, state):
    safetensors.numpy.save_file({n: np.ascontiguousarray(t) for n, t in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).normal(0, 1, (2, 67, 67, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "width", "sides"),
    [
        pytest.param("resnet18", 4, (33,)),
        pytest.param("resnet34", 4, (33,)),
        pytest.param("resnet50", 16, (64, 33)),
        pytest.param("resnet101", 4, (33,), marks=pytest.mark.long),
        pytest.param("resnet152", 4, (33,), marks=pytest.mark.long),
        pytest.param("resnet50", 64, (224, 97), marks=pytest.mark.long),
        pytest.param("resnet152", 64, (224, 97), marks=pytest.mark.long),
    ],
)
def test_every_depth_gives_the_reference_numbers(name, width, sides, tmp_path):
    block, counts = BLOCK_COUNTS[name]
    state = state_dict(block, counts, width)
    path = save(tmp_path / "model.safetensors", state)
    model = tl.ResNet(
        counts,
        block,
        weights=path,
        width=width,
        input_shape=(None, None, 3),
        classifier_activation=None,
    )
    for side in sides:
        image = np.random.default_rng(side).normal(0, 1, (1, side, side, 3)).astype(np.float32)
        expected = logits(state, image)
        difference = np.abs(model(image).numpy() - expected).max()
        assert difference <= 1e-4 * np.abs(expected).max(), (side, difference)
        if BLOCK_COUNTS[name][0] == "bottleneck":
            assert np.abs(logits(state, image, stride_on=1) - expected).max() > 0.01


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "model.", "module.model."])
@pytest.mark.parametrize("wrapper", long_after(1, ["state_dict", None, "model_state_dict"]))
def test_prefixes_and_wrappers_of_torch_files_are_recognised(prefix, wrapper, images, tmp_path):
    state = small_state()
    stored = {prefix + name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    torch.save({wrapper: stored, "epoch": 3} if wrapper else stored, tmp_path / "weights.pth")
    model = small_network(weights=tmp_path / "weights.pth")
    assert np.allclose(model(images), logits(state, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_are_read(dtype, images, tmp_path):
    state = small_state()
    stored = {n: torch.from_numpy(np.array(v)).to(getattr(torch, dtype)) for n, v in state.items()}
    torch.save(stored, tmp_path / "weights.pt")
    rounded = {n: t.double().numpy().astype(np.float32) for n, t in stored.items()}
    model = small_network(weights=tmp_path / "weights.pt")
    assert np.allclose(model(images), logits(rounded, images), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("policy", long_after(1, ["float32", "mixed_bfloat16"]))
def test_saved_again_the_numbers_are_the_same(policy, images, tmp_path):
    path = save(tmp_path / "model.safetensors", small_state())
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = small_network(weights=path)
        model.save(tmp_path / "model.keras")
        again = tl.load_model(tmp_path / "model.keras")
        assert again(images).numpy().tobytes() == model(images).numpy().tobytes()
        model.save_weights(tmp_path / "model.weights.h5")
        third = small_network()
        load_weights(third, tmp_path / "model.weights.h5")
        assert third(images).numpy().tobytes() == model(images).numpy().tobytes()
    finally:
        keras.config.set_dtype_policy(before)


def test_config_json_beside_the_file_tells_the_preprocessing(tmp_path):
    path = save(tmp_path / "model.safetensors", small_state())
    assert open_weights(path).spec.preprocessing is None
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    spec = open_weights(path).spec
    assert dataclasses.asdict(spec.preprocessing) == {
        "channel_order": "rgb",
        "scale": 1 / 255,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.25, 0.3),
        "image_size": 224,
        "crop_fraction": 0.965,
        "interpolation": "bicubic",
        "resize": "crop",
        "value_range": None,
    }
    assert (spec.classes, spec.class_names, spec.licence) == (5, (), "apache-2.0")
    assert (spec.architecture.variant, spec.architecture.bn_epsilon) == ("v1.5", 1e-5)


@pytest.mark.parametrize(
    ("settings", "size", "crop"),
    [
        ({"test_input_size": [3, 288, 288], "test_crop_pct": 1.0}, 160, 0.95),
        ({"test_input_size": None, "test_crop_pct": None}, 160, 0.95),
        ({"test_crop_pct": None}, 224, 0.95),
        ({"input_size": [3, 224, 224], "test_input_size": [3, 224, 224]}, 224, 0.95),
    ],
)
def test_the_largest_published_size_up_to_224_is_taken(settings, size, crop, tmp_path):
    path = save(tmp_path / "model.safetensors", small_state())
    config = {**CONFIG, "pretrained_cfg": {**CONFIG["pretrained_cfg"], **settings}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    preprocessing = open_weights(path).spec.preprocessing
    assert (preprocessing.image_size, preprocessing.crop_fraction) == (size, crop)


def test_a_thousand_classes_of_imagenet_have_their_names(tmp_path):
    state = state_dict("basic", (1, 1), width=8, classes=1000)
    path = save(tmp_path / "model.safetensors", state)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    spec = open_weights(path).spec
    assert (spec.class_names, spec.trained_on) == (imagenet_class_names(), "ImageNet-1k")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "not in timm's format"),
        ('{"pretrained_cfg": {"mean": 3}}', "not in timm's format"),
        ('{"architecture": "resnet18"}', "says 'resnet18', but the tensors next to it are a"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(config, message, tmp_path):
    path = save(tmp_path / "model.safetensors", small_state())
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=message):
        open_weights(path)


def published(tmp_path, monkeypatch):
    """A file under a name that the catalogue knows."""
    path = save(tmp_path / "weights.safetensors", small_state())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = f"small-{digest[:8]}.safetensors"
    spec = dataclasses.replace(
        open_weights(path).spec,
        name="small.tag",
        filename=name,
        preprocessing=PREPROCESSING["imagenet"],
        licence="MIT",
    )
    monkeypatch.setitem(catalog.CATALOG, "small.tag", spec)
    return shutil.move(path, tmp_path / name), spec


def test_a_published_name_brings_the_catalogues_record(tmp_path, monkeypatch):
    path, spec = published(tmp_path, monkeypatch)
    assert open_weights(path).spec == spec


def test_a_published_name_with_other_contents_is_refused(tmp_path, monkeypatch):
    path, _ = published(tmp_path, monkeypatch)
    save(path, small_state(seed=1))
    with pytest.raises(InputError, match=r"published file but not its contents.*sha256"):
        open_weights(path)


def changed(**replaced):
    """The small network's tensors, some replaced or (None) left out; `__` stands for a dot."""
    state = {**small_state(), **{name.replace("__", "."): v for name, v in replaced.items()}}
    return {name: value for name, value in state.items() if value is not None}


def folded():
    state = {n: t for n, t in small_state().items() if "bn" not in n and "downsample.1" not in n}
    return {**state, "conv1.bias": np.zeros(16, np.float32)}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (changed(conv1__weight=np.zeros((16, 3, 7, 7), np.int8)), "it is quantised"),
        (folded(), "batch normalisation is folded"),
        (changed(layer1__0__conv2__weight=np.zeros((16, 4, 3, 3), np.float32)), "ResNeXt"),
        (
            changed(
                layer1__0__conv1__weight=np.zeros((32, 16, 1, 1), np.float32),
                layer1__0__conv2__weight=np.zeros((32, 32, 3, 3), np.float32),
            ),
            "a wide ResNet: 32 filters in the first block, 16 in the stem",
        ),
        (changed(layer1__0__se__fc1__weight=np.zeros((4, 16, 1, 1), np.float32)), "attention"),
        (
            changed(layer2__0__downsample__1__weight=np.zeros((128, 64, 1, 1), np.float32)),
            "ResNet-C, -D or -T",
        ),
        (changed(layer1__0__conv1__weight=None), "no layer1.0.conv1"),
    ],
    ids=["int8", "folded", "resnext", "wide", "se", "resnet-d", "other"],
)
def test_what_is_no_plain_resnet_is_refused_with_the_reason(state, reason, tmp_path):
    with pytest.raises(InputError, match=reason):
        open_weights(save(tmp_path / "model.safetensors", state))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed(layer3__0__bn2__bias=None), r"1 missing: conv4_block1_2_bn/beta"),
        (changed(layer3__0__bn9__what=np.zeros(3, np.float32)), r"1 not used by the model: layer3"),
        (changed(fc__bias=np.zeros(7, np.float32)), r"predictions/bias is \(7,\), expected \(5,\)"),
    ],
)
def test_every_tensor_and_every_variable_counts_and_nothing_changes(state, message, tmp_path):
    model = small_network()
    before = {variable.path: variable.numpy().tobytes() for variable in model.variables}
    with pytest.raises(InputError, match=message):
        load_weights(model, save(tmp_path / "model.safetensors", state))
    assert {v.path: v.numpy().tobytes() for v in model.variables} == before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "v1"}, "variant='v1.5', the network has variant='v1'"),
        ({"bn_epsilon": 1e-3}, "bn_epsilon=1e-05, the network has bn_epsilon=0.001"),
        ({"width": 32}, "width=16, the network has width=32"),
        ({"stem": "cifar"}, "stem='imagenet', the network has stem='cifar'"),
    ],
)
def test_what_fits_by_shape_alone_is_refused_by_name(fields, message, tmp_path):
    path = save(tmp_path / "model.safetensors", small_state())
    with pytest.raises(InputError, match=message):
        tl.ResNet(**{**SMALL, **fields}, weights=path)


def test_weights_that_were_never_trained_are_reported(tmp_path):
    state = small_state()
    for name in state:
        if name.endswith("running_mean"):
            state[name] = np.zeros_like(state[name])
        if name.endswith("running_var"):
            state[name] = np.ones_like(state[name])
    with pytest.warns(UserWarning, match="the network was never trained"):
        small_network(weights=save(tmp_path / "model.safetensors", state))


def test_a_truncated_file_is_refused(tmp_path):
    path = save(tmp_path / "model.safetensors", small_state())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        open_weights(path)
    torch.save(
        {n: torch.from_numpy(np.array(v)) for n, v in small_state().items()}, tmp_path / "w.pth"
    )
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:5000])
    with pytest.raises(InputError, match="cut short"):
        open_weights(tmp_path / "w.pth")


class Harmful:
    def __reduce__(self):
        return (open, ("harmed", "w"))


def test_a_torch_file_that_holds_code_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Harmful()}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds code, which is never run"):
        open_weights(tmp_path / "w.pth")
    assert not (tmp_path / "harmed").exists()


def test_without_torch_the_message_says_how_to_convert(tmp_path, monkeypatch):
    (tmp_path / "w.pth").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"tl-toolkit\[torch\].*safetensors.torch.save_file"):
        open_weights(tmp_path / "w.pth")


def test_a_torch_file_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds no dict of tensors"):
        open_weights(tmp_path / "w.pth")
