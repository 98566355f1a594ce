"""keras.applications' networks and files: the same numbers from ours, whatever the file's format."""

import dataclasses
import hashlib
import http.server
import pathlib
import shutil
import threading

import keras
import numpy as np
import pytest
from keras_resnet import BLOCK_COUNTS, OURS, small_resnet
from tiny import randomise

import tl_toolkit as tl
from tl_toolkit.catalog import CATALOG, PREPROCESSING, Architecture
from tl_toolkit.errors import InputError
from tl_toolkit.models.resnet import build_resnet
from tl_toolkit.weights import keras_applications
from tl_toolkit.weights.keras_file import spec_of_biased
from tl_toolkit.weights.resolve import open_weights

KERAS_EPSILON = 1.001e-5


def theirs(depth, **arguments):
    build = getattr(keras.applications, f"ResNet{depth}")
    model = randomise(build(weights=None, **arguments))
    for layer in model.layers:  # so that activations neither vanish nor explode over 152 layers
        if layer.name.endswith("_3_bn"):
            layer.gamma.assign(layer.gamma * 0.3)
    return model


def write(model, kind, folder):
    """The model in a file of that kind."""
    path = folder / f"theirs{kind}"
    model.save_weights(path) if kind == ".weights.h5" else model.save(path)
    return path


@pytest.mark.parametrize(
    "depth",
    [
        pytest.param(50, marks=pytest.mark.slow),
        pytest.param(101, marks=pytest.mark.long),
        pytest.param(152, marks=pytest.mark.long),
    ],
)
def test_every_depth_gives_their_numbers(depth, tmp_path):
    model = theirs(depth, include_top=False, pooling="avg", input_shape=(None, None, 3))
    path = write(model, ".weights.h5", tmp_path)
    ours = getattr(tl, f"ResNet{depth}")(include_top=False, pooling="avg", weights=path)
    assert ours.count_params() < model.count_params()  # the biases are folded
    for side in (97, 64):
        image = np.random.default_rng(side).normal(0, 50, (1, side, side, 3)).astype(np.float32)
        expected = model(image, training=False).numpy()
        assert np.abs(ours(image).numpy() - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.long
def test_a_deeper_one_has_their_names_and_shapes():
    """With the numbers of 50 layers those of more rest on this; `make test-long` computes them."""
    model = keras.applications.ResNet101(weights=None, input_shape=(64, 64, 3))
    shapes = {variable.path: tuple(variable.shape) for variable in model.weights}
    dummies = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    found = spec_of_biased(dummies, pathlib.Path("theirs.weights.h5")).architecture
    assert found == Architecture.named("resnet101", variant="v1", bn_epsilon=KERAS_EPSILON)
    ours = {v.path: tuple(v.shape) for v in build_resnet(found, input_shape=(64, 64, 3)).weights}
    biases = {name for name in shapes if name.endswith("_conv/bias")}
    assert {name: shape for name, shape in shapes.items() if name not in biases} == ours
    assert len(biases) == 104


@pytest.fixture(scope="module")
def small():
    """A small network of their builder with its top, and what it answers to an image."""
    model = small_resnet(classes=7)
    image = np.random.default_rng(1).normal(0, 50, (1, 64, 64, 3)).astype(np.float32)
    return model, image, model(image, training=False).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".keras", ".weights.h5", ".h5"])
def test_every_file_format_gives_their_numbers(kind, small, tmp_path):
    model, image, expected = small
    path = write(model, kind, tmp_path)
    spec = open_weights(path).spec
    assert (spec.architecture.variant, spec.architecture.bn_epsilon, spec.classes) == (
        "v1",
        KERAS_EPSILON,
        7,
    )
    ours = tl.ResNet(**OURS, weights=path, classes=7, input_shape=(64, 64, 3))
    assert np.abs(ours(image).numpy() - expected).max() <= 1e-4 * np.abs(expected).max()
    with pytest.raises(InputError, match=r"variant='v1', the network has variant='v1.5'"):
        tl.ResNet(**OURS, weights=path, classes=7, variant="v1.5")


def test_their_model_takes_its_own_biases(small, tmp_path):
    model, image, expected = small
    path = write(model, ".weights.h5", tmp_path)
    other = small_resnet(classes=7)
    for variable in other.weights:
        variable.assign(variable * 0)
    tl.load_weights(other, path)
    assert other(image, training=False).numpy().tobytes() == expected.tobytes()


@pytest.fixture
def served(small, tmp_path, monkeypatch):
    """A stand-in for the published file, on a server of its own; Keras' cache in the test's folder."""
    spec = dataclasses.replace(
        CATALOG["resnet50.keras_in1k"],
        architecture=Architecture("bottleneck", BLOCK_COUNTS, "v1", bn_epsilon=KERAS_EPSILON),
        classes=7,
        class_names=tuple("abcdefg"),
    )
    web = tmp_path / "web"
    web.mkdir()
    shutil.copy(write(small[0], ".h5", tmp_path), web / spec.filename)
    handler = type(
        "Handler", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *a: None}
    )
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *a: handler(*a, directory=str(web))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    digest = hashlib.md5((web / spec.filename).read_bytes()).hexdigest()
    monkeypatch.setattr(keras_applications, "BASE_URL", url)
    monkeypatch.setitem(keras_applications.MD5, "resnet50", digest)
    monkeypatch.setitem(CATALOG, spec.name, spec)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    yield web / spec.filename, tmp_path / "keras" / "models"
    server.shutdown()
    server.server_close()


def test_the_published_file_is_downloaded_once_and_is_what_keras_would_find(
    served, small, monkeypatch, capfd
):
    web, cache = served
    _, image, expected = small
    model = tl.ResNet(**OURS, weights="resnet50.keras_in1k", classes=7, input_shape=(64, 64, 3))
    assert capfd.readouterr().out == ""  # Keras would show a progress bar of its own
    assert np.abs(model(image).numpy() - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (cache / web.name).read_bytes() == web.read_bytes()
    monkeypatch.setattr(keras_applications, "BASE_URL", "http://127.0.0.1:9/")
    spec = open_weights("resnet50.keras_in1k").spec
    assert (spec.preprocessing, spec.class_names) == (PREPROCESSING["caffe"], tuple("abcdefg"))
    assert open_weights(cache / web.name).spec == spec


@pytest.mark.parametrize("fault", ["cut short", "not there"])
def test_a_bad_download_leaves_nothing_in_the_cache(fault, served):
    web, cache = served
    if fault == "cut short":
        web.write_bytes(web.read_bytes()[:-1000])
    else:
        web.unlink()
    with pytest.raises(InputError, match=r"are not available: .*(cut short|cannot download)"):
        open_weights("resnet50.keras_in1k")
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_a_bad_file_in_the_cache_is_replaced(served):
    web, cache = served
    cache.mkdir(parents=True)
    (cache / web.name).write_bytes(b"half a file")
    open_weights("resnet50.keras_in1k")
    assert (cache / web.name).read_bytes() == web.read_bytes()


def test_a_file_of_a_published_name_with_other_contents_is_refused(tmp_path):
    path = tmp_path / "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    path.write_bytes(b"something else")
    with pytest.raises(
        InputError, match=r"is not the file of this name that keras.applications publishes"
    ):
        open_weights(path)


def test_a_legacy_file_without_biases_does_not_say_enough(tmp_path):
    model = tl.ResNet(
        (1, 1), "bottleneck", width=4, stem="cifar", input_shape=(16, 16, 3), classes=2
    )
    model.save(tmp_path / "ours.h5")
    with pytest.raises(InputError, match="does not say its network's strides and ε"):
        open_weights(tmp_path / "ours.h5")


def test_a_damaged_legacy_file_is_refused(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\nnot much more")
    with pytest.raises(InputError, match="not a whole legacy file of Keras"):
        open_weights(tmp_path / "model.h5")


def test_a_home_folder_that_can_only_be_read_is_read(served, monkeypatch, tmp_path):
    web, cache = served
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(keras_applications, "folder_can_be_made", lambda folder: False)
    usual = tmp_path / "home" / ".keras" / "models" / web.name
    usual.parent.mkdir(parents=True)
    shutil.copy(web, usual)
    web.unlink()
    assert open_weights("resnet50.keras_in1k").path == usual
    assert not cache.exists()
