"""Whatever the source: converted, saved and loaded again, the network answers the same, bit for bit."""

import json

import keras
import keras_hub
import numpy as np
import pytest
import safetensors.numpy
import torch
from families import long_after
from keras_resnet import small_resnet
from tiny import network, randomise
from torch_names import state_dict

import tl_toolkit as tl
from tl_toolkit.models.describe import describe_architecture
from tl_toolkit.models.resnet import build_resnet
from tl_toolkit.weights.load import load_weights
from tl_toolkit.weights.resolve import open_weights

CLASSES = 5


def pytorch_safetensors(folder):
    state = state_dict("basic", (1, 1, 1, 1), width=8, classes=CLASSES)
    safetensors.numpy.save_file(
        {n: np.ascontiguousarray(t) for n, t in state.items()}, folder / "model.safetensors"
    )
    return folder / "model.safetensors"


def torch_file(folder):
    state = state_dict("bottleneck", (1, 1, 1, 1), width=8, classes=CLASSES)
    torch.save({n: torch.from_numpy(np.array(t)) for n, t in state.items()}, folder / "model.pth")
    return folder / "model.pth"


def keras_applications_file(folder):
    small_resnet(CLASSES).save(folder / "model.h5")
    return folder / "model.h5"


def keras_hub_preset(folder):
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )
    task = keras_hub.models.ResNetImageClassifier(backbone=backbone, num_classes=CLASSES)
    randomise(task)
    task.save_to_preset(str(folder / "preset"))
    return folder / "preset"


def run_folder(folder):
    model = network(classes=CLASSES)
    model.save(folder / "model.keras")
    spec = tl.WeightSpec("run", describe_architecture(model.get_config()), classes=CLASSES)
    (folder / "weights.json").write_text(json.dumps(spec.to_json()))
    return folder


SOURCES = [pytorch_safetensors, torch_file, keras_applications_file, keras_hub_preset, run_folder]


# What a converter reads does not depend on the network's policy: two of them stand for all.
CASES = [("float32", make) for make in SOURCES]
CASES += [("mixed_bfloat16", make) for make in (pytorch_safetensors, run_folder)]


@pytest.fixture
def _policy_is_put_back():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.slow
@pytest.mark.usefixtures("_policy_is_put_back")
@pytest.mark.parametrize(
    ("policy", "make"), long_after(2, CASES), ids=lambda one: getattr(one, "__name__", one)
)
def test_converted_saved_and_loaded_the_numbers_are_the_same(policy, make, tmp_path):
    keras.config.set_dtype_policy("float32")
    source = make(tmp_path)
    keras.config.set_dtype_policy(policy)
    architecture = open_weights(source).spec.architecture
    image = np.random.default_rng(0).normal(0, 1, (2, 64, 64, 3)).astype(np.float32)

    def build():
        return build_resnet(architecture, input_shape=(64, 64, 3), classes=CLASSES)

    model = build()
    load_weights(model, source)
    answer = model(image).numpy()
    assert np.isfinite(answer).all()
    assert answer.std() > 0
    model.save(tmp_path / "again.keras")
    assert tl.load_model(tmp_path / "again.keras")(image).numpy().tobytes() == answer.tobytes()
    for second in (tmp_path / "again.keras", source):
        other = build()
        load_weights(other, second)
        assert other(image).numpy().tobytes() == answer.tobytes()
