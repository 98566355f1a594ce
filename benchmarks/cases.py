"""Shared by the benchmarks: networks as each library's users write them, photos, and a stopwatch."""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

SIDE, CLASSES, PHOTOS = 224, 10, 512
DEFAULT_PEER = {"TF_ENABLE_ONEDNN_OPTS": None}  # as TensorFlow decides on this processor
ONEDNN_PEER = {"TF_ENABLE_ONEDNN_OPTS": "1"}


def seconds_a_call(call: Callable[[], object], warm_up: int = 1, calls: int = 3) -> float:
    """Median over a few calls, after some uncounted ones."""
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(calls):
        started = time.monotonic()
        call()
        times.append(time.monotonic() - started)
    return statistics.median(times)


def pixels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images, float32[count, 224, 224, 3] of 0–255, and labels, int64[count]."""
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (count, SIDE, SIDE, 3)).astype(np.float32)
    return images, (np.arange(count) % CLASSES).astype(np.int64)


def keras_applications_model(trainable: bool = True):
    """ResNet-50 with a new head, as in the Keras guide on transfer learning."""
    import keras

    base = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(SIDE, SIDE, 3), pooling=None
    )
    base.trainable = trainable
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = base(x) if trainable else base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return base, keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def keras_hub_model(depth: int):
    """A KerasHub ResNet backbone with a head."""
    import keras
    import keras_hub

    block, counts = ("bottleneck_block", [3, 4, 6, 3]) if depth == 50 else ("basic_block", [2] * 4)
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=counts,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=block,
        image_shape=(SIDE, SIDE, 3),
    )
    inputs = keras.Input((SIDE, SIDE, 3))
    x = backbone(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def compile_for_fit(model) -> None:
    """AdamW and cross-entropy on logits, as our recipes train."""
    import keras

    model.compile(
        keras.optimizers.AdamW(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def our_model(depth: int = 50):
    """Our classifier of that depth, every layer trainable."""
    from tl_toolkit.catalog import PREPROCESSING, Architecture
    from tl_toolkit.models.head import assemble_classifier

    architecture = Architecture.named(f"resnet{depth}")
    return assemble_classifier(architecture, PREPROCESSING["imagenet"], CLASSES)


def torch_model(depth: int):
    """A plain ResNet in PyTorch, channels last."""
    from torch_resnet import channels_last

    return channels_last(depth, CLASSES)


def torch_images(images: np.ndarray):
    """Normalised images, channels last."""
    import torch

    tensor = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    return tensor.contiguous(memory_format=torch.channels_last)


def photo_folder(count: int, height: int, width: int, quality: int = 90) -> pathlib.Path:
    """A folder of JPEG photos whose classes differ in colour; made once, in the temporary folder."""
    from PIL import Image

    folder = pathlib.Path(tempfile.gettempdir(), f"tl_toolkit_photos_{count}_{height}x{width}")
    if not (folder / "done").exists():
        random = np.random.default_rng(0)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width) * 12
        for number in range(count):
            label = number % CLASSES
            (folder / f"class_{label}").mkdir(parents=True, exist_ok=True)
            waves = np.stack(
                [np.sin(x * (1 + label / 5) + number), np.cos(y - label), np.sin(x + y)]
            )
            noise = random.normal(0, 6, (height, width, 1)).astype(np.float32)
            pixels = np.clip(120 + 80 * waves.transpose(1, 2, 0) + noise, 0, 255).astype(np.uint8)
            path = folder / f"class_{label}" / f"{number}.jpg"
            Image.fromarray(pixels).save(path, quality=quality)
        (folder / "done").touch()
    return folder


def photo_recipe(strategy: str, **fields):
    """A recipe for 512 photos of 300 × 400 pixels that starts from random weights."""
    import tl_toolkit as tl
    from tl_toolkit.recipe import strategy_named

    return tl.Recipe(
        data=f"folder:{photo_folder(PHOTOS, 300, 400)}",
        strategy=strategy_named(strategy),
        weights=str(random_weights()),
        preprocessing="imagenet",
        image_size=SIDE,
        **fields,
    )


def random_weights(depth: int = 50) -> pathlib.Path:
    """A file of our network with random weights: speed does not depend on their values."""
    import tl_toolkit as tl

    path = pathlib.Path(tempfile.gettempdir(), f"tl_toolkit_random_resnet{depth}.keras")
    if not path.exists():
        getattr(tl, f"ResNet{depth}")(weights=None).save(path)
    return path
