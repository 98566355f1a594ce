"""A search of 24 trials of a new head, against a single run and against plain keras-tuner."""

from __future__ import annotations

import functools
import pathlib
import tempfile

from cases import (
    KERAS_SETTINGS,
    SIDE,
    compile_for_fit,
    keras_applications_model,
    random_weights,
)
from harness import Benchmark, Comparison, Measured, main
from stopwatch import NOTHING, Spent, Stopwatch, seconds, wait

TRIALS, EPOCHS, PHOTOS = 24, 20, 512
BATCH_SIZES = [8, 16, 32, 64]
# Of plain keras-tuner, whose trials and epochs all do the same work.
MEASURED_TRIALS, MEASURED_EPOCHS = 2, 2
ONE_RUN = "one run, cold cache"
SEARCH = "tl.search, 24 trials, cold cache"
PLAIN = "keras-tuner, 24 trials, scaled, {}"


def recipe():
    """ResNet-50 on 512 solar cells, a fifth of them for validation."""
    import tl_toolkit as tl

    return tl.Recipe(
        data="elpv",
        strategy=tl.NewHead(),
        weights=str(random_weights()),
        preprocessing="imagenet",
        image_size=SIDE,
        labels_per_class=PHOTOS // 2,
        validation_fraction=0.2,
        epochs=EPOCHS,
    )


def context(folder: str):
    """A context with an empty feature cache."""
    from tl_toolkit.experiments.context import Context
    from tl_toolkit.transfer.feature_cache import FeatureCache

    return Context(feature_cache=FeatureCache(pathlib.Path(folder, "cache")))


def one_run() -> Measured:
    """Seconds of one training, from the recipe to the validation figures: what a trial does."""
    import tl_toolkit  # noqa: F401  first, because it decides on oneDNN
    from tl_toolkit.experiments.train_and_validate import train_and_validate

    chosen = recipe()
    with tempfile.TemporaryDirectory() as folder, Stopwatch() as watch:
        train_and_validate(chosen, context(folder))
        return seconds(watch.read())


def our_search() -> Measured:
    """Seconds of `tl.search`, its plots included."""
    import tl_toolkit as tl

    chosen = recipe()
    with tempfile.TemporaryDirectory() as folder, Stopwatch() as watch:
        result = tl.search(
            chosen,
            {"batch_size": BATCH_SIZES},
            tuner="random",
            trials=TRIALS,
            output=pathlib.Path(folder, "search"),
            context=context(folder),
        )
        assert len(result.trials) == TRIALS
        return seconds(watch.read())


def plain_search(jit_compile: str | bool) -> dict[str, Measured]:
    """Seconds of keras-tuner with the frozen backbone in the model, scaled to all trials and epochs."""
    import keras_tuner
    import numpy as np
    from keras_steps import StepTimer

    random = np.random.default_rng(0)
    images = random.integers(0, 255, (PHOTOS, SIDE, SIDE, 3)).astype(np.uint8)
    labels = np.arange(PHOTOS) % 2
    first = PHOTOS // 5
    timers, ends = [], []

    class Hyper(keras_tuner.HyperModel):
        def build(self, hp):
            _, model = keras_applications_model(trainable=False)
            compile_for_fit(model, jit_compile)
            model.optimizer.learning_rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
            return model

        def fit(self, hp, model, *arguments, callbacks, **keywords):
            size = hp.Choice("batch_size", BATCH_SIZES)
            timers.append(StepTimer(watch))
            callbacks = [*callbacks, timers[-1]]
            history = model.fit(*arguments, batch_size=size, callbacks=callbacks, **keywords)
            ends.append(timers[-1].waits())
            return history

    with tempfile.TemporaryDirectory() as folder, Stopwatch() as watch:
        tuner = keras_tuner.RandomSearch(
            Hyper(), "val_accuracy", MEASURED_TRIALS, seed=1, directory=folder
        )
        tuner.search(
            images[first:],
            labels[first:],
            validation_data=(images[:first], labels[:first]),
            epochs=MEASURED_EPOCHS,
            verbose=0,
        )
        whole = watch.read()
    waits = sum(ends, NOTHING)
    later = _later_epoch(timers)
    a_trial = (whole - waits) * (1 / MEASURED_TRIALS) + later * (EPOCHS - MEASURED_EPOCHS)
    return {
        "": seconds(a_trial * TRIALS),
        "a later epoch": seconds(later),
        f"behind the last steps of {MEASURED_TRIALS * MEASURED_EPOCHS} epochs": wait(waits),
    }


def _later_epoch(timers: list) -> Spent:
    """The mean of all epochs but the trials' first ones, which are traced in: training and validation steps."""
    passes = [steps for timer in timers for steps in timer.passes[2:]]
    total = sum((step for steps in passes for step in steps), NOTHING)
    return total * (1 / (MEASURED_TRIALS * (MEASURED_EPOCHS - 1)))


BENCHMARK = Benchmark(
    title="A search of 24 trials, 20 epochs on 512 photos, 224 px, ResNet-50, new head",
    unit="seconds",
    cases={
        ONE_RUN: one_run,
        SEARCH: our_search,
        **{
            PLAIN.format(setting): functools.partial(plain_search, jit_compile)
            for setting, (_, jit_compile) in KERAS_SETTINGS.items()
        },
    },
    minutes=60,
    comparisons=(
        Comparison("24 trials over one run", ONE_RUN, (SEARCH,), 3, at_most=True),
        Comparison(
            "keras-tuner", SEARCH, tuple(PLAIN.format(setting) for setting in KERAS_SETTINGS)
        ),
    ),
    environment={
        PLAIN.format(setting): dict(variables) for setting, (variables, _) in KERAS_SETTINGS.items()
    },
    note=(
        "Electroluminescence photos of solar cells; reading them is included in our time and not in keras-tuner's. "
        f"Of keras-tuner {MEASURED_TRIALS} trials of {MEASURED_EPOCHS} epochs, validation included, are measured "
        f"and scaled to {TRIALS} trials of {EPOCHS} epochs, by the steps of a later epoch; what `fit` waits for behind "
        "the last step of an epoch is not in it."
    ),
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
