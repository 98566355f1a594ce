"""Shared by the benchmarks: networks as each library's users write them, photos, and settings of the peers."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

import numpy as np
from harness import CannotRunError, Measured, all_cores
from stopwatch import a_second, timed_calls

SIDE, CLASSES, PHOTOS = 224, 10, 512
# What Keras' documentation lets a user choose, by environment and `jit_compile`. Without a choice TensorFlow decides on
# oneDNN by the processor, and Keras takes XLA ("auto"). Which is best is measured.
ONEDNN_ON, ONEDNN_OFF = ({"TF_ENABLE_ONEDNN_OPTS": value} for value in "10")
KERAS_SETTINGS: dict[str, tuple[dict[str, str], str | bool]] = {
    "oneDNN on": (ONEDNN_ON, "auto"),
    "oneDNN on, no XLA": (ONEDNN_ON, False),
    "oneDNN off": (ONEDNN_OFF, "auto"),
}


def pixels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images, float32[count, 224, 224, 3] of 0–255, and labels, int64[count]."""
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (count, SIDE, SIDE, 3)).astype(np.float32)
    return images, (np.arange(count) % CLASSES).astype(np.int64)


def keras_applications_model(trainable: bool = True):
    """ResNet-50 with a new head, as in the Keras guide on transfer learning."""
    import keras

    shape = (SIDE, SIDE, 3)
    base = keras.applications.ResNet50(include_top=False, weights=None, input_shape=shape)
    return base, with_new_head(base, shape, trainable)


def with_new_head(base, shape: tuple[int, int, int], trainable: bool):
    """A base between rescaling and a new head, as in the Keras guide on transfer learning."""
    import keras

    base.trainable = trainable
    inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = base(x) if trainable else base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


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


def compile_for_fit(model, jit_compile: str | bool = "auto") -> None:
    """AdamW and cross-entropy on logits, as our recipes train."""
    import keras

    model.compile(
        keras.optimizers.AdamW(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )


def our_model(depth: int = 50):
    """Our classifier of that depth, every layer trainable."""
    from tl_toolkit.catalog import PREPROCESSING, Architecture
    from tl_toolkit.models.head import assemble_classifier

    architecture = Architecture.named(f"resnet{depth}")
    return assemble_classifier(architecture, PREPROCESSING["imagenet"], CLASSES)


def torch_model(depth: int, compiled: bool = False):
    """A plain ResNet in PyTorch, channels last, on all cores.

    Raises:
        CannotRunError: `torch.compile` has no C++ compiler to work with.
    """
    import torch
    from torch_resnet import channels_last

    torch.set_num_threads(all_cores())
    model = channels_last(depth, CLASSES)
    if not compiled:
        return model
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        raise CannotRunError("torch.compile needs a C++ compiler")
    return torch.compile(model)


def torch_images(images: np.ndarray):
    """Normalised images, channels last."""
    import torch

    tensor = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    return tensor.contiguous(memory_format=torch.channels_last)


def matrix_products(passes: int) -> Measured:
    """Images a second, if a ResNet-50's multiply-adds were as fast as those of a large matrix product.

    No convolution network is faster for long: it also normalises, adds, and reads and writes its activations.
    """
    import tl_toolkit as tl  # noqa: F401, I001  first, because it decides on oneDNN
    import tensorflow as tf

    from tl_toolkit.models.architecture_table import costs

    side = 4096
    matrix = tf.random.stateless_uniform([side, side], (0, 0))
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix), autograph=False)
    of_image = next(c for c in costs("resnet50", SIDE) if c.variant == "v1.5").multiply_adds
    return a_second(side**3 / (of_image * passes), timed_calls(product))


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
    from tl_toolkit.strategies import strategy_named

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


def small_network() -> dict[str, str | int]:
    """A ResNet-18 of width 8 for small images, and a file of random weights for it, as fields of a recipe."""
    path = pathlib.Path(tempfile.gettempdir(), "tl_toolkit_random_small.keras")
    if not path.exists():
        from tl_toolkit.catalog import Architecture
        from tl_toolkit.models.resnet import build_resnet

        build_resnet(Architecture.named("resnet18", width=8, stem="cifar")).save(path)
    fields = {"backbone": "resnet18", "width": 8, "stem": "cifar"}
    return {**fields, "weights": str(path), "preprocessing": "imagenet"}


def guide_network(side: int, is_small: bool, trainable: bool, jit_compile: str | bool = "auto"):
    """The Keras guide's network on a base that starts from a file of random weights, compiled."""
    import keras

    shape = (side, side, 3)
    name = "small" if is_small else "resnet50"
    path = pathlib.Path(tempfile.gettempdir(), f"tl_toolkit_random_keras_{name}.weights.h5")
    if is_small:
        base = _small_keras_base(shape)
    else:
        base = keras.applications.ResNet50(include_top=False, weights=None, input_shape=shape)
    if not path.exists():
        base.save_weights(path)
    base.load_weights(path)
    model = with_new_head(base, shape, trainable)
    compile_for_fit(model, jit_compile)
    return model


def _small_keras_base(shape: tuple[int, int, int]):
    """A ResNet-18 of width 8 with a 3 × 3 stem, in plain Keras."""
    from keras import Input, Model, layers

    def normalised(x, filters: int, size: int, stride: int = 1):
        x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = Input(shape)
    x = layers.ReLU()(normalised(inputs, 8, 3))
    for stage, filters in enumerate((8, 16, 32, 64)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = layers.ReLU()(normalised(x, filters, 3, stride))
            y = normalised(y, filters, 3)
            shortcut = normalised(x, filters, 1, stride) if stride > 1 else x
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    return Model(inputs, x)
