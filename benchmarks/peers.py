"""Our ResNet-50 and ResNet-18 beside those of keras.applications, KerasHub and PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Callable

from cases import DEFAULT_PEER, ONEDNN_PEER, keras_applications_model, keras_hub_model
from harness import Benchmark, Comparison

OURS = "tl_toolkit ResNet-{}, {}"
APPLICATIONS = "keras.applications ResNet-50"
WITH_ONEDNN = f"{APPLICATIONS}, oneDNN on"
HUB = "KerasHub ResNet-{}"
TORCH = "PyTorch ResNet-{}, {}"


def beside_peers(
    title: str,
    ours: Callable[[int, str], float],
    keras_peer: Callable[[Callable], float],
    torch_peer: Callable[[int, bool], float],
    *,
    default: float,
    same_precision: float,
    torch_bfloat16: float,
    note: str,
) -> Benchmark:
    """Returns a benchmark against all peers, in images a second.

    Args:
        title: What is measured.
        ours: Measures images a second, given depth and precision.
        keras_peer: Measures images a second, given a function that makes a Keras model.
        torch_peer: Measures images a second, given depth and whether to use bfloat16.
        default: Target of our default precision against keras.applications as it comes.
        same_precision: Target of our float32 against keras.applications with oneDNN on.
        torch_bfloat16: Target of our default precision against PyTorch in bfloat16.
        note: What the reader has to know about the figures.
    """
    applications = functools.partial(keras_peer, lambda: keras_applications_model()[1])
    cases = {
        OURS.format(50, "default precision"): functools.partial(ours, 50, "auto"),
        OURS.format(50, "float32"): functools.partial(ours, 50, "float32"),
        APPLICATIONS: applications,
        WITH_ONEDNN: applications,
        TORCH.format(50, "float32"): functools.partial(torch_peer, 50, False),
        TORCH.format(50, "bfloat16"): functools.partial(torch_peer, 50, True),
        OURS.format(18, "float32"): functools.partial(ours, 18, "float32"),
        TORCH.format(18, "float32"): functools.partial(torch_peer, 18, False),
    }
    for depth in (50, 18):
        make = functools.partial(keras_hub_model, depth)
        cases[HUB.format(depth)] = functools.partial(keras_peer, make)
    comparisons = (
        ("default precision, against keras.applications as it comes", APPLICATIONS, default),
        ("float32, against keras.applications with oneDNN on", WITH_ONEDNN, same_precision),
        ("default precision, against KerasHub as it comes", HUB.format(50), None),
        ("float32, against PyTorch float32", TORCH.format(50, "float32"), None),
        (
            "default precision, against PyTorch bfloat16",
            TORCH.format(50, "bfloat16"),
            torch_bfloat16,
        ),
    )
    return Benchmark(
        title=title,
        unit="images/s",
        cases=cases,
        comparisons=(
            *(
                Comparison(f"ResNet-50, {what}", OURS.format(50, what.split(",")[0]), peer, target)
                for what, peer, target in comparisons
            ),
            Comparison(
                "ResNet-18, float32, against KerasHub as it comes",
                OURS.format(18, "float32"),
                HUB.format(18),
            ),
            Comparison(
                "ResNet-18, float32, against PyTorch float32",
                OURS.format(18, "float32"),
                TORCH.format(18, "float32"),
            ),
        ),
        environment={
            APPLICATIONS: DEFAULT_PEER,
            WITH_ONEDNN: ONEDNN_PEER,
            HUB.format(50): DEFAULT_PEER,
            HUB.format(18): DEFAULT_PEER,
        },
        more_is_better=True,
        note=note,
        rounds=2,
    )
