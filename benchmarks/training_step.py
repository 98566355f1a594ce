"""A training step of ResNet-50 and ResNet-18 at 224 px, against Keras' `fit` and PyTorch."""

from __future__ import annotations

from collections.abc import Callable

from cases import (
    SIDE,
    compile_for_fit,
    our_model,
    pixels,
    torch_images,
    torch_model,
)
from harness import Measured, main
from peers import beside_peers
from stopwatch import Spent, Stopwatch, a_second, timed_calls, wait

BATCH = 16
WARM_UP, STEPS = 2, 7


def ours(depth: int, precision: str) -> Measured:
    """The step loop of `tl.run`, in a recipe's `precision`."""
    return a_second(BATCH, our_steps(depth, precision)[WARM_UP:])


def our_steps(depth: int, precision: str) -> list[Spent]:
    """What each of its steps took."""
    import tl_toolkit as tl  # noqa: I001  first, because it decides on oneDNN
    import numpy as np
    import tensorflow as tf
    from keras_steps import StepTimer

    from tl_toolkit.catalog import Preprocessing
    from tl_toolkit.data.pipeline import training_signature
    from tl_toolkit.recipe import Recipe
    from tl_toolkit.strategies import FullFineTune
    from tl_toolkit.training.loop import Schedule, train
    from tl_toolkit.training.optimizers import make_optimizer
    from tl_toolkit.training.step import TrainingStep
    from tl_toolkit.transfer.defaults import choose_hyperparameters

    with tl.precision_scope(precision), Stopwatch() as watch:
        model = our_model(depth)
        recipe = Recipe(data="digits", strategy=FullFineTune())
        optimizer = make_optimizer(model, choose_hyperparameters(recipe, BATCH))
        step = TrainingStep(
            model,
            optimizer,
            0.0,
            tf.distribute.get_strategy(),
            training_signature(Preprocessing(image_size=SIDE)),
        )
        images, labels = pixels(BATCH)
        batch = [tf.constant(x) for x in (images, labels, np.ones(BATCH, np.float32))]
        timer = StepTimer(watch)
        train(
            model,
            step,
            optimizer,
            model.variables,
            lambda epoch, step: [batch] * (WARM_UP + STEPS),
            Schedule(epochs=1, steps_per_epoch=WARM_UP + STEPS),
            validate=None,
            folder=None,
            identity={},
            callbacks=(timer,),
        )
    return timer.passes[0]


def keras_fit(make: Callable, jit_compile: str | bool) -> dict[str, Measured]:
    """The batches of an epoch of `fit`, and what comes after the last one."""
    from keras_steps import StepTimer

    model = make()
    compile_for_fit(model, jit_compile)
    images, labels = pixels(BATCH * (WARM_UP + STEPS))
    with Stopwatch() as watch:
        timer = StepTimer(watch)
        model.fit(images, labels, batch_size=BATCH, verbose=0, callbacks=[timer])
        end = timer.waits()
    return {"": a_second(BATCH, timer.passes[0][WARM_UP:]), "wait at the end of `fit`": wait(end)}


def torch_step(depth: int, half: bool, compiled: bool) -> Measured:
    """PyTorch's usual loop."""
    import torch

    model = torch_model(depth, compiled).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    images, labels = pixels(BATCH)
    images, labels = torch_images(images), torch.from_numpy(labels)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return a_second(BATCH, timed_calls(step, WARM_UP, STEPS))


BENCHMARK = beside_peers(
    "Training step, 224 px, batch 16",
    30,
    ours,
    keras_fit,
    torch_step,
    passes=3,
    applications=1.5,
    torch=1.3,
    note="Images in memory on both sides; AdamW. A figure is that of the median step: ours between the callbacks of "
    "our step loop, Keras' between those of `fit`, PyTorch's of its usual loop. The default precision is float32 "
    "where the processor has no bfloat16. keras.applications' ResNet-50 is v1, which has 6% fewer multiply-adds "
    "than the v1.5 of all others.",
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
