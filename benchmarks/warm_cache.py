"""Runs on an empty and on a warm cache: from the built model to the end of the first training step."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import tempfile

from cases import photo_recipe
from harness import Benchmark, Measured, main
from stopwatch import Spent, Stopwatch, seconds

# One for all cases that a process measures in turn.
FOLDER = pathlib.Path(tempfile.gettempdir(), f"tl_toolkit_warm_cache_{os.getppid()}")
STRATEGIES = {"new_head": "new head", "last_layers": "last layers"}


def to_first_step(strategy: str, is_warm: bool) -> Measured:
    """Seconds of a run from the built model to the end of its first step.

    Args:
        strategy: Its name.
        is_warm: Whether the features lie in the cache already; else it is emptied first.
    """
    from tl_toolkit.experiments import train_and_validate as walk  # noqa: I001  first, because it decides on oneDNN
    import keras

    from tl_toolkit.experiments.context import Context
    from tl_toolkit.transfer.feature_cache import FeatureCache

    cache = FOLDER / strategy
    if is_warm and not cache.exists():
        raise FileNotFoundError(f"{cache}: measure the empty cache first")
    if not is_warm:
        shutil.rmtree(cache, ignore_errors=True)
    moments: dict[str, Spent] = {}
    prepare = walk.prepare

    def timed_prepare(*arguments):
        prepared = prepare(*arguments)
        moments["model"] = watch.read()
        return prepared

    class FirstStep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            moments.setdefault("step", watch.read())

    walk.prepare = timed_prepare
    context = Context(feature_cache=FeatureCache(cache), callbacks=(FirstStep(),))
    with Stopwatch() as watch:
        walk.train_and_validate(photo_recipe(strategy, epochs=1), context)
    return seconds(moments["step"] - moments["model"])


BENCHMARK = Benchmark(
    title="First and later runs on 512 photos: model built to first step done",
    unit="seconds",
    cases={
        f"{name}, {'warm' if is_warm else 'empty'} cache": functools.partial(
            to_first_step, strategy, is_warm
        )
        for strategy, name in STRATEGIES.items()
        for is_warm in (False, True)
    },
    minutes=15,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
