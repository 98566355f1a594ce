"""A training step of ResNet-50 and ResNet-18 at 224 px, against fit and against PyTorch."""

from __future__ import annotations

import functools

from contenders import (
    DEFAULT_PEER,
    ONEDNN_PEER,
    SIDE,
    compile_for_fit,
    keras_applications_model,
    keras_hub_model,
    our_model,
    pixels,
    seconds_a_call,
    torch_images,
    torch_model,
)
from harness import Benchmark, Comparison, main

BATCH = 16


def ours(depth: int, precision: str) -> float:
    """Our step, as `tl.run` takes it, under a recipe's `precision`."""
    import tl_toolkit as tl  # noqa: I001  first, because it decides on oneDNN
    import numpy as np
    import tensorflow as tf

    from tl_toolkit.catalog import Preprocessing
    from tl_toolkit.data.pipeline import training_signature
    from tl_toolkit.recipe import FullFineTune, Recipe
    from tl_toolkit.training.optimizers import make_optimizer
    from tl_toolkit.training.step import TrainingStep
    from tl_toolkit.transfer.defaults import hyperparameters

    with tl.precision_scope(precision):
        model = our_model(depth)
        numbers = hyperparameters(Recipe(data="digits", strategy=FullFineTune()), BATCH)
        step = TrainingStep(
            model,
            make_optimizer(model, numbers),
            0.0,
            tf.distribute.get_strategy(),
            training_signature(Preprocessing(image_size=SIDE)),
        )
        images, labels = pixels(BATCH)
        batch = [tf.constant(x) for x in (images, labels, np.ones(BATCH, np.float32))]
        return BATCH / seconds_a_call(lambda: step(batch))


def keras_fit(make) -> float:
    """An epoch of a few batches under `fit`."""
    model, steps = make(), 3
    compile_for_fit(model)
    images, labels = pixels(BATCH * steps)

    def fit():
        model.fit(images, labels, batch_size=BATCH, verbose=0)

    return BATCH * steps / seconds_a_call(fit, calls=1)


def torch_step(depth: int, half: bool) -> float:
    """PyTorch's usual loop, eager."""
    import torch

    model = torch_model(depth).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    images, labels = pixels(BATCH)
    images, labels = torch_images(images), torch.from_numpy(labels)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    return BATCH / seconds_a_call(step)


def _applications():
    return keras_applications_model()[1]


BENCHMARK = Benchmark(
    title="Training step, 224 px, batch 16",
    unit="images/s",
    contenders={
        "tl_toolkit, ResNet-50, default precision": functools.partial(ours, 50, "auto"),
        "tl_toolkit, ResNet-50, float32": functools.partial(ours, 50, "float32"),
        "keras.applications ResNet-50, fit": functools.partial(keras_fit, _applications),
        "keras.applications ResNet-50, fit, oneDNN on": functools.partial(keras_fit, _applications),
        "KerasHub ResNet-50, fit": functools.partial(
            keras_fit, functools.partial(keras_hub_model, 50)
        ),
        "PyTorch ResNet-50, float32": functools.partial(torch_step, 50, False),
        "PyTorch ResNet-50, bfloat16": functools.partial(torch_step, 50, True),
        "tl_toolkit, ResNet-18, float32": functools.partial(ours, 18, "float32"),
        "KerasHub ResNet-18, fit": functools.partial(
            keras_fit, functools.partial(keras_hub_model, 18)
        ),
        "PyTorch ResNet-18, float32": functools.partial(torch_step, 18, False),
    },
    comparisons=(
        Comparison(
            "ResNet-50, default precision, against keras.applications as it comes",
            "tl_toolkit, ResNet-50, default precision",
            "keras.applications ResNet-50, fit",
            2.2,
        ),
        Comparison(
            "ResNet-50, float32, against keras.applications with oneDNN on",
            "tl_toolkit, ResNet-50, float32",
            "keras.applications ResNet-50, fit, oneDNN on",
            1.3,
        ),
        Comparison(
            "ResNet-50, default precision, against KerasHub as it comes",
            "tl_toolkit, ResNet-50, default precision",
            "KerasHub ResNet-50, fit",
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
            0.9,
        ),
        Comparison(
            "ResNet-18, float32, against KerasHub as it comes",
            "tl_toolkit, ResNet-18, float32",
            "KerasHub ResNet-18, fit",
        ),
        Comparison(
            "ResNet-18, float32, against PyTorch float32",
            "tl_toolkit, ResNet-18, float32",
            "PyTorch ResNet-18, float32",
        ),
    ),
    environment={
        "keras.applications ResNet-50, fit": DEFAULT_PEER,
        "keras.applications ResNet-50, fit, oneDNN on": ONEDNN_PEER,
        "KerasHub ResNet-50, fit": DEFAULT_PEER,
        "KerasHub ResNet-18, fit": DEFAULT_PEER,
    },
    more_is_better=True,
    note="Images in memory on both sides. AdamW.",
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
