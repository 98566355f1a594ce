"""Peak memory and time of every strategy, with 1,000 and with 50,000 small images."""

from __future__ import annotations

import functools
import pathlib
import tempfile

from cases import photo_folder, small_network
from harness import Benchmark, Comparison, Measured, main
from stopwatch import Stopwatch, peak_megabytes, seconds

FEW, MANY = 1_000, 50_000
STRATEGIES = ("new_head", "last_layers", "full_fine_tune", "from_scratch")


def peak_and_time(strategy: str, count: int) -> dict[str, Measured]:
    """Peak megabytes and seconds of two epochs of a tiny network, with the pass over the frozen layers."""
    import tl_toolkit as tl
    from tl_toolkit.experiments.context import Context
    from tl_toolkit.experiments.train_and_validate import train_and_validate
    from tl_toolkit.strategies import strategy_named
    from tl_toolkit.transfer.feature_cache import FeatureCache

    network = small_network()
    if strategy == "from_scratch":
        del network["weights"], network["preprocessing"]
    with tempfile.TemporaryDirectory() as scratch:
        recipe = tl.Recipe(
            data=f"folder:{photo_folder(count, 32, 32)}",
            strategy=strategy_named(strategy),
            image_size=32,
            epochs=2,
            views=1,
            batch_size=64,
            **network,
        )
        with Stopwatch() as watch:
            train_and_validate(
                recipe, Context(feature_cache=FeatureCache(pathlib.Path(scratch, "cache")))
            )
            spent = watch.read()
    return {"megabytes": Measured(peak_megabytes(), spent, "megabytes"), "seconds": seconds(spent)}


def _name(strategy: str, count: int) -> str:
    return f"{strategy}, {count:,} images"


def _compare(strategy: str, figure: str, **bound) -> Comparison:
    few, many = (f"{_name(strategy, count)}: {figure}" for count in (FEW, MANY))
    return Comparison(f"{strategy}, {figure}: {MANY:,} over {FEW:,} images", few, (many,), **bound)


BENCHMARK = Benchmark(
    title="Growth: peak memory and time, 32 px, two epochs",
    unit="seconds",
    cases={
        _name(strategy, count): functools.partial(peak_and_time, strategy, count)
        for strategy in STRATEGIES
        for count in (FEW, MANY)
    },
    minutes=60,
    comparisons=(
        _compare("new_head", "megabytes", target=1.3, at_most=True),
        _compare("last_layers", "megabytes", target=1.3, at_most=True),
        *(_compare(strategy, "megabytes") for strategy in STRATEGIES[2:]),
        *(_compare(strategy, "seconds") for strategy in STRATEGIES),
    ),
    note="A ResNet-18 of width 8, one view. The ratios are the larger data set's figure over the smaller one's.",
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
