"""Runs on an empty and on a warm cache: from the built model to the end of the first training step."""

from __future__ import annotations

import functools
import os
import pathlib
import tempfile
import time

from cases import photo_recipe
from harness import Benchmark, main

FOLDER = pathlib.Path(tempfile.gettempdir(), f"tl_toolkit_warm_cache_{os.getppid()}")


def seconds_to_first_step(strategy: str) -> float:
    """Seconds of a run from the built model to the end of its first step."""
    from tl_toolkit.experiments import train_and_validate as walk  # noqa: I001  first, because it decides on oneDNN
    import keras

    from tl_toolkit.experiments.context import Context
    from tl_toolkit.transfer.feature_cache import FeatureCache

    moments = {}
    prepare = walk.prepare

    def timed_prepare(*arguments):
        prepared = prepare(*arguments)
        moments["model"] = time.monotonic()
        return prepared

    class FirstStep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            moments.setdefault("step", time.monotonic())

    walk.prepare = timed_prepare
    context = Context(feature_cache=FeatureCache(FOLDER), callbacks=(FirstStep(),))
    walk.train_and_validate(photo_recipe(strategy, epochs=1), context)
    return moments["step"] - moments["model"]


BENCHMARK = Benchmark(
    title="First and later runs on 512 photos: model built to first step done",
    unit="seconds",
    cases={
        "new head": functools.partial(seconds_to_first_step, "new_head"),
        "last layers": functools.partial(seconds_to_first_step, "last_layers"),
    },
    note="Four rounds; the largest figure is that of the first round, on an empty cache.",
    rounds=4,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
