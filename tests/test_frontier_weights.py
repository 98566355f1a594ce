"""The weights of the contenders of `frontier.py`: their names in each library, and that they are compared."""

import ast
import pathlib

import numpy as np
import pytest
from tiny import BOTTLENECK, network, randomise

from tl_toolkit.catalog import Architecture
from tl_toolkit.models.resnet import build_resnet
from tl_toolkit.weights import pytorch_file

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def weights(import_benchmark):
    return import_benchmark("frontier_weights")


def test_torchs_names_and_layouts_are_those_that_we_read(weights, tmp_path):
    from safetensors.numpy import save_file

    model = network(BOTTLENECK, include_top=False)
    tensors = {variable.path: variable.numpy() for variable in model.variables}
    renamed = weights.for_torch(tensors)
    save_file(renamed, tmp_path / "resnet.safetensors")
    read = pytorch_file.read_tensors(tmp_path / "resnet.safetensors")
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        turned = tensor[:, :, ::-1] if name == "conv1_conv/kernel" else tensor
        np.testing.assert_array_equal(read[name], turned)
    assert renamed["layer2.0.downsample.0.weight"].shape == (32, 16, 1, 1)
    with pytest.raises(ValueError, match="'predictions' is no layer of a ResNet without its head"):
        weights.for_torch({"predictions/kernel": np.zeros((1, 1, 1, 1))})


@pytest.mark.slow
def test_kerashubs_network_gives_the_features_of_ours(import_benchmark, weights, tmp_path):
    frontier_keras = import_benchmark("frontier_keras")
    architecture = Architecture("bottleneck", (1, 1), variant="v1", bn_epsilon=1e-2)
    ours = randomise(build_resnet(architecture, input_shape=(32, 32, 3), include_top=False))
    np.savez(tmp_path / weights.KERAS, **{v.path: v.numpy() for v in ours.variables})
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    prepared = (images[..., ::-1] - [1.0, 2.0, 3.0]).astype(np.float32)  # BGR
    features = np.asarray(ours(prepared)).mean(axis=(1, 2))
    np.savez(tmp_path / weights.PROBE, images=images, features=features, epsilon=1e-2)
    job = import_benchmark("frontier_worker").Job(
        {}, 0, 32, ["a", "b"], [], [], [], "", str(tmp_path), 1.0
    )
    backbone = frontier_keras.v1_backbone(job, (1, 1))
    frontier_keras.check(backbone, lambda rgb: rgb - [3.0, 2.0, 1.0], job, "KerasHub")
    with pytest.raises(ValueError, match=r"KerasHub: .* the weights are not the same"):
        frontier_keras.check(backbone, lambda rgb: rgb - [1.0, 2.0, 3.0], job, "KerasHub")


def test_other_weights_are_refused(weights):
    expected = np.array([[0.0, 2.0], [1.0, 0.5]])
    weights.check_features(expected + 1e-3, expected, "a library")
    with pytest.raises(ValueError, match=r"a library: .* 1\.0e-02 of the largest one"):
        weights.check_features(expected + 0.02, expected, "a library")
    with pytest.raises(ValueError, match="nan of the largest"):
        weights.check_features(expected * np.nan, expected, "a library")


@pytest.mark.parametrize("name", ["frontier_torch", "frontier_worker", "frontier_weights"])
def test_what_runs_beside_pytorch_imports_nothing_of_ours(name):
    statements = ast.parse((FOLDER / f"{name}.py").read_text()).body
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in statements
        for alias in getattr(node, "names", ())
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert not {n.partition(".")[0] for n in imported} & {"tl_toolkit", "tensorflow", "keras"}
