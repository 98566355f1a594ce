"""A search of 24 trials of a new head, against a single run and against plain keras-tuner."""

from __future__ import annotations

import pathlib
import tempfile
import time

from cases import (
    DEFAULT_PEER,
    ONEDNN_PEER,
    SIDE,
    compile_for_fit,
    keras_applications_model,
    random_weights,
)
from harness import Benchmark, Comparison, main

TRIALS, EPOCHS, PHOTOS = 24, 20, 512
BATCH_SIZES = [8, 16, 32, 64]
# Of plain keras-tuner, whose trials and epochs all do the same work.
MEASURED_TRIALS, MEASURED_EPOCHS = 2, 2


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


def one_run() -> float:
    """Seconds of one training, from the recipe to the validation figures: what a trial does."""
    import tl_toolkit  # noqa: F401  first, because it decides on oneDNN
    from tl_toolkit.experiments.train_and_validate import train_and_validate

    chosen = recipe()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        train_and_validate(chosen, context(folder))
        return time.monotonic() - started


def our_search() -> float:
    """Seconds of `tl.search`, its plots included."""
    import tl_toolkit as tl

    chosen = recipe()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        result = tl.search(
            chosen,
            {"batch_size": BATCH_SIZES},
            tuner="random",
            trials=TRIALS,
            output=pathlib.Path(folder, "search"),
            context=context(folder),
        )
        assert len(result.trials) == TRIALS
        return time.monotonic() - started


def plain_search() -> float:
    """Seconds of keras-tuner with the frozen backbone in the model, scaled to all trials and epochs."""
    import keras
    import keras_tuner
    import numpy as np

    random = np.random.default_rng(0)
    images = random.integers(0, 255, (PHOTOS, SIDE, SIDE, 3)).astype(np.uint8)
    labels = np.arange(PHOTOS) % 2
    first = PHOTOS // 5
    seconds = []

    class Stopwatch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.monotonic()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.monotonic() - self.started)

    class Hyper(keras_tuner.HyperModel):
        def build(self, hp):
            _, model = keras_applications_model(trainable=False)
            compile_for_fit(model)
            model.optimizer.learning_rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
            return model

        def fit(self, hp, model, *arguments, **keywords):
            size = hp.Choice("batch_size", BATCH_SIZES)
            return model.fit(*arguments, batch_size=size, **keywords)

    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        tuner = keras_tuner.RandomSearch(
            Hyper(), "val_accuracy", MEASURED_TRIALS, seed=1, directory=folder
        )
        tuner.search(
            images[first:],
            labels[first:],
            validation_data=(images[:first], labels[:first]),
            epochs=MEASURED_EPOCHS,
            callbacks=[Stopwatch()],
            verbose=0,
        )
        beside_epochs = (time.monotonic() - started - sum(seconds)) / MEASURED_TRIALS
    epoch = sum(seconds) / len(seconds)
    return TRIALS * (beside_epochs + EPOCHS * epoch)


BENCHMARK = Benchmark(
    title="A search of 24 trials, 20 epochs on 512 photos, 224 px, ResNet-50, new head",
    unit="seconds",
    cases={
        "one run, cold cache": one_run,
        "tl.search, 24 trials, cold cache": our_search,
        "keras-tuner, 24 trials, scaled": plain_search,
        "keras-tuner, 24 trials, scaled, oneDNN on": plain_search,
    },
    comparisons=(
        Comparison(
            "24 trials over one run",
            "one run, cold cache",
            "tl.search, 24 trials, cold cache",
            3,
            at_most=True,
        ),
        Comparison(
            "against keras-tuner as it comes",
            "tl.search, 24 trials, cold cache",
            "keras-tuner, 24 trials, scaled",
        ),
        Comparison(
            "against keras-tuner, oneDNN on for both",
            "tl.search, 24 trials, cold cache",
            "keras-tuner, 24 trials, scaled, oneDNN on",
        ),
    ),
    environment={
        "keras-tuner, 24 trials, scaled": DEFAULT_PEER,
        "keras-tuner, 24 trials, scaled, oneDNN on": ONEDNN_PEER,
    },
    note=(
        "Electroluminescence photos of solar cells; reading them is included in our time and not in keras-tuner's. "
        f"Of keras-tuner {MEASURED_TRIALS} trials of {MEASURED_EPOCHS} epochs, validation included, are measured "
        f"and scaled to {TRIALS} trials of {EPOCHS} epochs."
    ),
    rounds=2,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
