"""One process of a cluster, which trains what it is told and writes down what came out.

    python distributed_worker.py FOLDER LOGICAL_DEVICES CASE …

`TF_CONFIG` says which worker it is. Every process writes FOLDER/NAME_OF_PROCESS.json, the chief weights too.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from graphs import quick_graphs
from tensorflow.python.distribute import collective_all_reduce_strategy
from tiny import PIXELS, classifier, hyperparameters, labelled_pixels, values

import tl_toolkit as tl
from tl_toolkit.catalog import AUGMENTATIONS
from tl_toolkit.data.parallelism import without_autotuning
from tl_toolkit.data.pipeline import ReplicaShares, training_signature
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.devices.strategy import choose_devices
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.batch_source import distributed_batches, open_batch_source
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.strategies import strategy_named
from tl_toolkit.training import step as step_module
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.step import TrainingStep
from tl_toolkit.training.weight_average import WeightAverage
from tl_toolkit.transfer.feature_cache import FeatureCache
from tl_toolkit.transfer.plan import apply_plan, make_plan

FOLDER, LOGICAL_DEVICES = pathlib.Path(sys.argv[1]), int(sys.argv[2])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * LOGICAL_DEVICES,
)
IS_CLUSTER = "TF_CONFIG" in os.environ
if IS_CLUSTER and LOGICAL_DEVICES > 1:
    # A worker takes all its GPUs, but one processor only: logical ones stand in for GPUs here.
    collective_all_reduce_strategy.CollectiveAllReduceExtended._initialize_local_devices = (
        lambda self, cluster, worker: (
            tuple(f"{worker}/device:CPU:{index}" for index in range(LOGICAL_DEVICES)),
            "CPU",
        )
    )
DISTRIBUTE = choose_devices(
    "multi_worker" if IS_CLUSTER else "mirrored" if LOGICAL_DEVICES > 1 else "one"
)
PROCESSES = ProcessGroup(DISTRIBUTE)
NAME = f"process{json.loads(os.environ['TF_CONFIG'])['task']['index'] if IS_CLUSTER else 0}"
SIZES = (10, 7, 8, 3, 1)  # of batches: even, odd, and fewer than there are replicas


def split_over_replicas(batches):
    """A data set of those batches, every replica its share."""

    def of_process(process):
        shard = ReplicaShares.of(process)

        def shares():
            for batch in batches:
                for positions in shard.of_batch(np.arange(len(batch[0]))):
                    yield tuple(part[positions] for part in batch)

        specs = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batches[0])
        return without_autotuning(tf.data.Dataset.from_generator(shares, output_signature=specs))

    return DISTRIBUTE.distribute_datasets_from_function(of_process)


HELD_BACK = {"layer_decay": 0.5, "l2_sp": 2.0, "weight_decay": 0.5, "optimizer": "adamw"}


def steps(bn_mode, dtype, count, learning_rate=0.05, ema=None, **fields):
    """Weights before and after steps, each step's figures, and the average of the weights."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    with DISTRIBUTE.scope():
        model = classifier()
        apply_plan(model, make_plan(model, tl.FullFineTune(), bn_mode), bn_momentum=0.9)
        schedule = {"epochs": 1, "steps_per_epoch": 100, "learning_rate": learning_rate}
        optimizer = make_optimizer(model, hyperparameters(**schedule, **fields))
    before = values(model)
    average = WeightAverage(model.variables, ema, DISTRIBUTE) if ema else None
    step = TrainingStep(model, optimizer, 0.1, DISTRIBUTE, training_signature(PIXELS), average)
    batches = [labelled_pixels(SIZES[n % len(SIZES)], seed=n) for n in range(count)]
    results = [step(batch) for batch in split_over_replicas(batches)]
    figures = [[r.loss_sum, r.correct, r.examples] for r in results]
    arrays = {"before": before, "after": values(model)}
    if average is not None:
        with average.in_place():
            arrays["average"] = values(model)
        arrays["afterwards"] = values(model)
    return {"figures": figures}, arrays


def recipe_case(strategy, folder):
    """A recipe of the photos, trained and validated by everything that a run uses."""
    recipe = tl.Recipe.load(folder / "recipe.json")
    options = {
        "new_head": {},
        "last_layers": {"trainable_from": "conv3", "bn_mode": "affine"},
        "full_fine_tune": {"bn_mode": "frozen"},
    }[strategy]
    recipe = recipe.replace(strategy=strategy_named(strategy, **options))
    seen = []
    call = TrainingStep.__call__

    def counting(self, batch, stop=()):
        local = DISTRIBUTE.experimental_local_results(batch[1])
        result = call(self, batch, stop)
        seen.append([sum(len(labels) for labels in local), result.examples])
        return result

    step_module.TrainingStep.__call__ = counting
    try:
        with quick_graphs():
            trained = train_and_validate(
                recipe, Context(feature_cache=FeatureCache(folder / f"cache_{FOLDER.name}"))
            )
    finally:
        step_module.TrainingStep.__call__ = call
    result = {
        "history": trained.progress.history,
        "validation": {k: trained.validation[k] for k in ("top1", "log_loss", "examples")},
        "verified": trained.verified,
        "seen": seen,
        "devices": trained.devices,
    }
    return result, {"after": values(trained.model)}


def mixed(folder):
    """A recipe whose images are mixed."""
    recipe = tl.Recipe.load(folder / "recipe.json").replace(
        strategy=tl.FullFineTune(bn_mode="frozen"), epochs=1, views=None
    )
    preset = AUGMENTATIONS["photo"]
    AUGMENTATIONS["photo"] = dataclasses.replace(preset, mixup=0.4, cutmix=1.0)
    trained = train_and_validate(recipe, Context(distribute=DISTRIBUTE))
    assert trained.experiment.augmentation.mixes
    AUGMENTATIONS["photo"] = preset
    return {"history": trained.progress.history}, {"after": values(trained.model)}


def solved(folder):
    """A new head that every process solves for."""
    recipe = tl.Recipe.load(folder / "recipe.json")
    steps = ("epochs", "batch_size", "learning_rate", "optimizer", "views")
    trained = train_and_validate(
        recipe.replace(strategy=tl.NewHead(on="all_blocks"), **dict.fromkeys(steps)),
        Context(feature_cache=FeatureCache(folder / f"cache_{FOLDER.name}")),
    )
    figures = {k: trained.validation[k] for k in ("top1", "log_loss", "examples")}
    return {"validation": figures, "devices": trained.devices}, {"after": values(trained.model)}


def positions_case(folder):
    """The images that every process reads in an epoch, by their numbers."""
    recipe = tl.Recipe.load(folder / "recipe.json").replace(
        epochs=2, cache=False, views=None, augmentation="none"
    )
    context = Context(distribute=DISTRIBUTE)
    experiment = prepare(recipe, context)
    # In place of the labels: which image it is.
    train = experiment.dataset.train
    numbered = train.__class__(
        **{
            **{f: getattr(train, f) for f in train.__dataclass_fields__},
            "labels": np.arange(len(train)),
        }
    )
    object.__setattr__(experiment.dataset, "train", numbered)
    source, _ = open_batch_source(experiment, context, PROCESSES)
    batches = distributed_batches(experiment, source, DISTRIBUTE, 0, 0)
    read = [
        [labels.numpy().tolist() for labels in DISTRIBUTE.experimental_local_results(batch[1])]
        for batch in batches
    ]
    return {"read": read, "images": len(train)}, {}


def unlike():
    """What is said where every process has another seed."""
    recipe = tl.Recipe.load(FOLDER.parent / "recipe.json")
    try:
        train_and_validate(recipe.replace(seed=int(NAME[-1]), epochs=1))
    except InputError as error:
        return {"message": str(error)}, {}
    return {"message": None}, {}


@contextlib.contextmanager
def unsynchronised():
    apply = step_module.TrainingStep.__init__

    def unsynchronise(self, model, *rest):
        for layer in model.layers:
            if isinstance(layer, BatchNormalization):
                layer.synchronized = False
        apply(self, model, *rest)

    step_module.TrainingStep.__init__ = unsynchronise
    yield
    step_module.TrainingStep.__init__ = apply


@contextlib.contextmanager
def seen_twice():
    of_batch = ReplicaShares.of_batch
    # The first replica's share for all.
    ReplicaShares.of_batch = lambda self, positions: of_batch(self, positions)[:1] * self.count
    yield
    ReplicaShares.of_batch = of_batch


@contextlib.contextmanager
def not_scaled():
    loss = step_module.cross_entropy
    # Each replica's mean, summed over replicas.
    step_module.cross_entropy = lambda *a: loss(*a) * DISTRIBUTE.num_replicas_in_sync
    yield
    step_module.cross_entropy = loss


class MemoryUse(keras.callbacks.Callback):
    """Counts steps, and megabytes of this process at the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.steps, self.megabytes = 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1

    def on_epoch_end(self, epoch, logs=None):
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        self.megabytes.append(pages * resource.getpagesize() / 2**20)


def memory():
    """A recipe of 200 steps, with validation and checkpoints, and the memory that it takes."""
    recipe = tl.Recipe.load(FOLDER.parent / "recipe.json")
    memory = MemoryUse()
    train_and_validate(
        recipe.replace(strategy=tl.FullFineTune(), epochs=40),
        Context(callbacks=(memory,), checkpoints=FOLDER / "checkpoints", checkpoint_seconds=1),
    )
    return {"steps": memory.steps, "megabytes": memory.megabytes}, {}


def in_half_precision(policy, **fields):
    """Losses of a few steps under a GPU's dtype policy; in float16 the sixth one's gradients overflow."""
    keras.config.set_dtype_policy(policy)
    with DISTRIBUTE.scope():
        model = classifier()
        apply_plan(model, make_plan(model, tl.FullFineTune(), "affine"))
        optimizer = make_optimizer(model, hyperparameters(epochs=4, learning_rate=0.02, **fields))
    step = TrainingStep(model, optimizer, 0.0, DISTRIBUTE, training_signature(PIXELS))
    images, labels, weights = labelled_pixels(8)
    too_heavy = weights.copy()
    too_heavy[0] = 1e30  # on the first replica alone
    batches = [(images, labels, weights)] * 12
    if policy == "mixed_float16":
        batches[5] = images, labels, too_heavy
    moved, before = [], values(model)
    for batch in split_over_replicas(batches):
        loss = step(batch).loss
        after = values(model)
        moved.append([loss, max(float(np.abs(after[n] - before[n]).max()) for n in after)])
        before = after
    return {"steps": moved}, {}


def fit():
    """Plain `fit`, as docs/several_devices.md says that it is done."""
    with DISTRIBUTE.scope():
        model = classifier()
        apply_plan(model, make_plan(model, tl.FullFineTune(), "adapt"))
        model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(True))
    images, labels, _ = labelled_pixels(32)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8, drop_remainder=True)
    history = model.fit(without_autotuning(data), epochs=2, shuffle=False, verbose=0)
    return {"loss": history.history["loss"]}, {"after": values(model)}


CASES = {
    "float16": lambda: in_half_precision("mixed_float16"),
    "bfloat16": lambda: in_half_precision("mixed_bfloat16"),
    "float16 held back": lambda: in_half_precision("mixed_float16", layer_decay=0.5, l2_sp=2.0),
    "fit": fit,
    "one step": lambda: steps("adapt", "float32", 1),
    "float64": lambda: steps("adapt", "float64", 20),
    "frozen": lambda: steps("frozen", "float32", 20),
    "held back": lambda: steps("adapt", "float64", 20, 0.01, ema=0.9, **HELD_BACK),
    "new_head": lambda: recipe_case("new_head", FOLDER.parent),
    "last_layers": lambda: recipe_case("last_layers", FOLDER.parent),
    "full_fine_tune": lambda: recipe_case("full_fine_tune", FOLDER.parent),
    "mixed": lambda: mixed(FOLDER.parent),
    "solved": lambda: solved(FOLDER.parent),
    "positions": lambda: positions_case(FOLDER.parent),
    "memory": memory,
    "unlike": unlike,
}
MISTAKES = {
    "unsynchronised": (unsynchronised, "float64"),
    "seen twice": (seen_twice, "frozen"),
    "not scaled": (not_scaled, "frozen"),
}


def main():
    results, weights = {"replicas": DISTRIBUTE.num_replicas_in_sync}, {}
    for case in sys.argv[3:]:
        started = time.monotonic()
        if case in MISTAKES:
            mistake, made_in = MISTAKES[case]
            with mistake():
                results[case], arrays = CASES[made_in]()
        else:
            results[case], arrays = CASES[case]()
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        print(f"{case}: {time.monotonic() - started:.1f} s", flush=True)
        for when, variables in arrays.items():
            weights |= {f"{case}|{when}|{path}": value for path, value in variables.items()}
    (FOLDER / f"{NAME}.json").write_text(json.dumps(results))
    if PROCESSES.is_chief:
        np.savez(FOLDER / "weights.npz", **weights)


if __name__ == "__main__":
    main()
