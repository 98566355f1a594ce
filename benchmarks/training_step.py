"""A training step of ResNet-50 and ResNet-18 at 224 px, against Keras' `fit` and PyTorch."""

from __future__ import annotations

from cases import (
    SIDE,
    compile_for_fit,
    our_model,
    pixels,
    seconds_a_call,
    torch_images,
    torch_model,
)
from harness import main
from peers import beside_peers

BATCH = 16


def ours(depth: int, precision: str) -> float:
    """The step of `tl.run`, in a recipe's `precision`."""
    import tl_toolkit as tl  # noqa: I001  first, because it decides on oneDNN
    import numpy as np
    import tensorflow as tf

    from tl_toolkit.catalog import Preprocessing
    from tl_toolkit.data.pipeline import training_signature
    from tl_toolkit.recipe import FullFineTune, Recipe
    from tl_toolkit.training.optimizers import make_optimizer
    from tl_toolkit.training.step import TrainingStep
    from tl_toolkit.transfer.defaults import choose_hyperparameters

    with tl.precision_scope(precision):
        model = our_model(depth)
        hyperparameters = choose_hyperparameters(
            Recipe(data="digits", strategy=FullFineTune()), BATCH
        )
        step = TrainingStep(
            model,
            make_optimizer(model, hyperparameters),
            0.0,
            tf.distribute.get_strategy(),
            training_signature(Preprocessing(image_size=SIDE)),
        )
        images, labels = pixels(BATCH)
        batch = [tf.constant(x) for x in (images, labels, np.ones(BATCH, np.float32))]
        return BATCH / seconds_a_call(lambda: step(batch))


def keras_fit(make) -> float:
    """An epoch of a few batches by `fit`."""
    model, steps = make(), 3
    compile_for_fit(model)
    images, labels = pixels(BATCH * steps)

    def fit():
        model.fit(images, labels, batch_size=BATCH, verbose=0)

    return BATCH * steps / seconds_a_call(fit, calls=1)


def torch_step(depth: int, half: bool) -> float:
    """PyTorch's usual eager loop."""
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


BENCHMARK = beside_peers(
    "Training step, 224 px, batch 16",
    ours,
    keras_fit,
    torch_step,
    default=2.2,
    same_precision=1.3,
    torch_bfloat16=0.9,
    note="Images in memory on both sides; AdamW; Keras models by `fit`. The default precision is float32 "
    "where the processor has no bfloat16.",
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
