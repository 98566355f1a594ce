"""Peak memory and time of every strategy, with 1,000 and with 50,000 small images."""

from __future__ import annotations

import functools
import pathlib
import resource
import tempfile
import time

from cases import photo_folder
from harness import Benchmark, Comparison, main

FEW, MANY = 1_000, 50_000
STRATEGIES = ("new_head", "last_layers", "full_fine_tune", "from_scratch")


def peak_and_time(strategy: str, count: int) -> dict[str, float]:
    """Peak megabytes and seconds of two epochs of a tiny network, with the pass over the frozen layers."""
    import tl_toolkit as tl
    from tl_toolkit.catalog import Architecture
    from tl_toolkit.experiments.context import Context
    from tl_toolkit.experiments.train_and_validate import train_and_validate
    from tl_toolkit.models.resnet import build_resnet
    from tl_toolkit.recipe import strategy_named
    from tl_toolkit.transfer.feature_cache import FeatureCache

    network = {"width": 8, "stem": "cifar", "backbone": "resnet18"}
    with tempfile.TemporaryDirectory() as scratch:
        weights = pathlib.Path(scratch, "tiny.keras")
        build_resnet(Architecture.named("resnet18", width=8, stem="cifar")).save(weights)
        start = {"weights": str(weights), "preprocessing": "imagenet"}
        recipe = tl.Recipe(
            data=f"folder:{photo_folder(count, 32, 32)}",
            strategy=strategy_named(strategy),
            image_size=32,
            epochs=2,
            views=1,
            batch_size=64,
            **network,
            **({} if strategy == "from_scratch" else start),
        )
        started = time.monotonic()
        train_and_validate(
            recipe, Context(feature_cache=FeatureCache(pathlib.Path(scratch, "cache")))
        )
        seconds = time.monotonic() - started
    return {
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": seconds,
    }


def _name(strategy: str, count: int) -> str:
    return f"{strategy}, {count:,} images"


def _compare(strategy: str, figure: str, **bound) -> Comparison:
    few, many = (f"{_name(strategy, count)}: {figure}" for count in (FEW, MANY))
    return Comparison(f"{strategy}, {figure}: {MANY:,} over {FEW:,} images", few, many, **bound)


BENCHMARK = Benchmark(
    title="Growth: peak memory and time, 32 px, two epochs",
    unit="megabytes or seconds",
    cases={
        _name(strategy, count): functools.partial(peak_and_time, strategy, count)
        for strategy in STRATEGIES
        for count in (FEW, MANY)
    },
    comparisons=(
        _compare("new_head", "megabytes", target=1.3, at_most=True),
        _compare("last_layers", "megabytes", target=1.3, at_most=True),
        *(_compare(strategy, "megabytes") for strategy in STRATEGIES[2:]),
        *(_compare(strategy, "seconds") for strategy in STRATEGIES),
    ),
    note="A ResNet-18 of width 8, one view. The ratios are the larger data set's figure over the smaller one's.",
    rounds=1,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
