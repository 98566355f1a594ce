"""Peak memory and time with 1,000 and 50,000 small images, by strategy."""

from __future__ import annotations

import functools
import json
import pathlib
import resource
import sys
import tempfile
import time

from contenders import photo_folder
from harness import (
    Benchmark,
    Comparison,
    main,
    measure,  # noqa: F401
)

FEW, MANY = 1_000, 50_000
STRATEGIES = ("new_head", "last_layers", "full_fine_tune", "from_scratch")


def peak_megabytes(strategy: str, count: int) -> float:
    """Of one epoch with a tiny network, the pass over frozen layers included; prints its seconds too."""
    import tl_toolkit as tl
    from tl_toolkit.catalog import Architecture
    from tl_toolkit.experiment import Context, train_and_validate
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
            epochs=1,
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
    print(json.dumps({"strategy": strategy, "images": count, "seconds": seconds}), file=sys.stderr)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _name(strategy: str, count: int) -> str:
    return f"{strategy}, {count:,} images"


BENCHMARK = Benchmark(
    title="Peak memory, 32 px, one epoch",
    unit="megabytes",
    contenders={
        _name(strategy, count): functools.partial(peak_megabytes, strategy, count)
        for strategy in STRATEGIES
        for count in (FEW, MANY)
    },
    comparisons=tuple(
        Comparison(
            f"{strategy}: {MANY:,} against {FEW:,}", _name(strategy, FEW), _name(strategy, MANY)
        )
        for strategy in STRATEGIES
    ),
    note="A ResNet-18 of width 8. The ratio should be at most 1.3× for new_head and last_layers.",
    rounds=1,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
