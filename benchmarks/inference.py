"""Inference of ResNet-50 and ResNet-18 at 224 px, against predict and against PyTorch."""

from __future__ import annotations

import functools

from contenders import (
    DEFAULT_PEER,
    ONEDNN_PEER,
    keras_applications_model,
    keras_hub_model,
    our_model,
    pixels,
    seconds_a_call,
    torch_images,
    torch_model,
)
from harness import Benchmark, Comparison, main

BATCH = 32


def ours(depth: int, precision: str) -> float:
    """The engine that frozen parts and SavedModels are computed by."""
    import tl_toolkit as tl  # noqa: I001  first, because it decides on oneDNN
    import tensorflow as tf

    from tl_toolkit.models.fold import inference_engine

    with tl.precision_scope(precision):
        engine = inference_engine(our_model(depth))
        images = tf.constant(pixels(BATCH)[0])
        return BATCH / seconds_a_call(lambda: engine(images).numpy(), calls=5)


def keras_predict(make) -> float:
    """`predict` on a few batches."""
    model, batches = make(), 3
    images, _ = pixels(BATCH * batches)

    def predict():
        model.predict(images, batch_size=BATCH, verbose=0)

    return BATCH * batches / seconds_a_call(predict, calls=2)


def torch_forward(depth: int, half: bool) -> float:
    """PyTorch's usual inference, eager."""
    import torch

    model = torch_model(depth).eval()
    images = torch_images(pixels(BATCH)[0])

    def forward():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            model(images)

    return BATCH / seconds_a_call(forward, calls=5)


def _applications():
    return keras_applications_model()[1]


BENCHMARK = Benchmark(
    title="Inference, 224 px, batch 32",
    unit="images/s",
    contenders={
        "tl_toolkit, ResNet-50, default precision": functools.partial(ours, 50, "auto"),
        "tl_toolkit, ResNet-50, float32": functools.partial(ours, 50, "float32"),
        "keras.applications ResNet-50, predict": functools.partial(keras_predict, _applications),
        "keras.applications ResNet-50, predict, oneDNN on": functools.partial(
            keras_predict, _applications
        ),
        "KerasHub ResNet-50, predict": functools.partial(
            keras_predict, functools.partial(keras_hub_model, 50)
        ),
        "PyTorch ResNet-50, float32": functools.partial(torch_forward, 50, False),
        "PyTorch ResNet-50, bfloat16": functools.partial(torch_forward, 50, True),
        "tl_toolkit, ResNet-18, float32": functools.partial(ours, 18, "float32"),
        "KerasHub ResNet-18, predict": functools.partial(
            keras_predict, functools.partial(keras_hub_model, 18)
        ),
        "PyTorch ResNet-18, float32": functools.partial(torch_forward, 18, False),
    },
    comparisons=(
        Comparison(
            "ResNet-50, default precision, against keras.applications as it comes",
            "tl_toolkit, ResNet-50, default precision",
            "keras.applications ResNet-50, predict",
            1.8,
        ),
        Comparison(
            "ResNet-50, float32, against keras.applications with oneDNN on",
            "tl_toolkit, ResNet-50, float32",
            "keras.applications ResNet-50, predict, oneDNN on",
            1.0,
        ),
        Comparison(
            "ResNet-50, float32, against PyTorch float32",
            "tl_toolkit, ResNet-50, float32",
            "PyTorch ResNet-50, float32",
        ),
        Comparison(
            "ResNet-50, default precision, against PyTorch bfloat16",
            "tl_toolkit, ResNet-50, default precision",
            "PyTorch ResNet-50, bfloat16",
            1.2,
        ),
        Comparison(
            "ResNet-18, float32, against KerasHub as it comes",
            "tl_toolkit, ResNet-18, float32",
            "KerasHub ResNet-18, predict",
        ),
        Comparison(
            "ResNet-18, float32, against PyTorch float32",
            "tl_toolkit, ResNet-18, float32",
            "PyTorch ResNet-18, float32",
        ),
    ),
    environment={
        "keras.applications ResNet-50, predict": DEFAULT_PEER,
        "keras.applications ResNet-50, predict, oneDNN on": ONEDNN_PEER,
        "KerasHub ResNet-50, predict": DEFAULT_PEER,
        "KerasHub ResNet-18, predict": DEFAULT_PEER,
    },
    more_is_better=True,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
