"""Compares one GPU, and all of them, with the processor: gradients, speed and memory.

    python benchmarks/gpu_check.py [--rehearse]

Exits with 1 where there is no GPU, or where a GPU's step differs from the processor's. With `--rehearse` two
logical processors stand in for two GPUs, and a small network for ResNet-50.
"""

from __future__ import annotations

import dataclasses
import sys
import time

import keras
import numpy as np
import tensorflow as tf

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING, Architecture
from tl_toolkit.data.pipeline import training_signature
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.strategies import FullFineTune
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.step import TrainingStep
from tl_toolkit.transfer.defaults import choose_hyperparameters
from tl_toolkit.transfer.plan import apply_plan, make_plan

# Two logical processors differ by 4e-6. GPUs sum in another order, and by how much they differ is not known yet.
TOLERANCE = 1e-3
CLASSES = 10


class Check:
    """Trains one network on any devices.

    Args:
        architecture: The network.
        side: Side of the images, in pixels.
        batch: Images a device.
        steps: Steps to measure the speed over.
    """

    def __init__(self, architecture: Architecture, side: int, batch: int, steps: int) -> None:
        self._architecture = architecture
        self._steps = steps
        self._preprocessing = dataclasses.replace(PREPROCESSING["imagenet"], image_size=side)
        self._batch = batch

    def _step(self, distribute: tf.distribute.Strategy, optimizer: str) -> tuple:
        recipe = tl.Recipe(
            data="digits", strategy=FullFineTune(), optimizer=optimizer, learning_rate=0.01
        )
        keras.utils.set_random_seed(0)
        with distribute.scope():
            model = assemble_classifier(self._architecture, self._preprocessing, CLASSES)
            apply_plan(model, make_plan(model, FullFineTune(), "adapt"))
            hyperparameters = choose_hyperparameters(
                recipe, 32 * 1000, distribute.num_replicas_in_sync
            )
            # No warm-up: its first step would change nothing.
            made = make_optimizer(model, dataclasses.replace(hyperparameters, warmup_steps=0))
        signature = training_signature(self._preprocessing)
        return model, TrainingStep(model, made, 0.0, distribute, signature)

    def _batches(self, distribute: tf.distribute.Strategy, size: int, count: int):
        random, side = np.random.default_rng(0), self._preprocessing.image_size
        images = random.uniform(0, 255, (size, side, side, 3)).astype(np.float32)
        labels = random.integers(0, CLASSES, size)
        data = tf.data.Dataset.from_tensors((images, labels, np.ones(size, np.float32)))
        share = size // distribute.num_replicas_in_sync
        return distribute.distribute_datasets_from_function(
            lambda _: data.unbatch().batch(share).repeat(count)
        )

    def change_of_a_step(self, distribute: tf.distribute.Strategy, size: int) -> np.ndarray:
        """Returns what one float32 step changes, all variables in one array."""
        with tl.precision_scope("float32"):
            model, step = self._step(distribute, "sgd")
            before = [variable.numpy() for variable in model.trainable_variables]
            for batch in self._batches(distribute, size, 1):
                step(batch)
            changes = [
                (variable.numpy() - old).ravel()
                for variable, old in zip(model.trainable_variables, before, strict=True)
            ]
        return np.concatenate(changes)

    def images_a_second(self, distribute: tf.distribute.Strategy) -> tuple[str, float]:
        """Returns the default precision and the training speed in it."""
        with tl.precision_scope("auto") as precision:
            _, step = self._step(distribute, "adamw")
            size = self._batch * distribute.num_replicas_in_sync
            batches = iter(self._batches(distribute, size, self._steps + 3))
            for _ in range(3):
                step(next(batches))
            started = time.monotonic()
            for _ in range(self._steps):
                step(next(batches))
        return precision, self._steps * size / (time.monotonic() - started)


def main(rehearse: bool) -> int:
    kind = "CPU" if rehearse else "GPU"
    if rehearse:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if not devices:
        print("TensorFlow sees no GPU: nothing was checked.", file=sys.stderr)
        return 1
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if rehearse:
        check = Check(Architecture("bottleneck", (1, 1), width=8), 32, 4, 2)
    else:
        check = Check(Architecture.named("resnet50"), 224, 32, 20)
    strategies = {f"one {kind}": tf.distribute.OneDeviceStrategy(devices[0])}
    if len(devices) > 1:
        strategies[f"{len(devices)} {kind}s"] = tf.distribute.MirroredStrategy(devices)
    size = 8 * len(devices)
    expected = check.change_of_a_step(tf.distribute.OneDeviceStrategy("/CPU:0"), size)
    agree = True
    print(f"{', '.join(devices)}; TensorFlow {tf.__version__}")
    for name, distribute in strategies.items():
        change = check.change_of_a_step(distribute, size)
        apart = float(np.linalg.norm(change - expected) / np.linalg.norm(expected))
        agree &= apart < TOLERANCE  # False for NaN
        precision, speed = check.images_a_second(distribute)
        print(
            f"{name}: a step is {apart:.1e} from the processor's; {speed:.1f} images/s in {precision}"
        )
        if kind == "GPU":
            peaks = [
                tf.config.experimental.get_memory_info(f"GPU:{n}")["peak"]
                for n in range(len(devices))
            ]
            print(f"  peak memory: {', '.join(f'{peak / 2**30:.2f} GB' for peak in peaks)}")
    print("all agree" if agree else f"they differ by more than {TOLERANCE:g}")
    return 0 if agree else 1


if __name__ == "__main__":
    raise SystemExit(main("--rehearse" in sys.argv[1:]))
