"""Our ResNet-50 and ResNet-18 beside those of keras.applications, KerasHub, PyTorch and ONNX Runtime.

A peer is measured in the settings that its documentation names, and the better one counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from cases import KERAS_SETTINGS, keras_applications_model, keras_hub_model, matrix_products
from harness import Benchmark, Case, Comparison, all_cores

OURS = "tl_toolkit ResNet-{}, {}"
APPLICATIONS = "keras.applications ResNet-50, {}"
APPLICATIONS_BFLOAT16 = "keras.applications ResNet-50, mixed_bfloat16, {}"
HUB = "KerasHub ResNet-{}, {}"
TORCH = "PyTorch ResNet-{}, {}, {}"
ONNX = "ONNX Runtime ResNet-{}, float32"
BOUND = "matrix products of 4,096², as many operations as ResNet-50's convolutions, float32"
EAGER, COMPILED = "eager", "torch.compile"
TORCH_ENVIRONMENT = {"TORCHINDUCTOR_FREEZING": "1"}  # weights as constants, in inference only


def beside_peers(
    title: str,
    minutes: int,
    ours: Callable[[int, str], object],
    keras_peer: Callable[[Callable, str | bool], object],
    torch_peer: Callable[[int, bool, bool], object],
    onnx_peer: Callable[[int], object] | None = None,
    *,
    passes: int,
    applications: float,
    torch: float,
    onnx: float | None = None,
    note: str,
) -> Benchmark:
    """Returns a benchmark against all peers, in images a second.

    Args:
        title: What is measured.
        minutes: How long it takes, about.
        ours: Measures, given depth and precision.
        keras_peer: Measures, given a function that makes a Keras model, and its `jit_compile`.
        torch_peer: Measures, given depth, whether to use bfloat16, and whether to use `torch.compile`.
        onnx_peer: Measures, given depth; None where there is nothing to compare.
        passes: Over the network, each of which costs as much as the forward one.
        applications: Target of ResNet-50 in float32 against keras.applications.
        torch: Likewise against PyTorch.
        onnx: Likewise against ONNX Runtime.
        note: What the reader has to know about the figures.
    """
    cases: dict[str, Case] = {}
    environment: dict[str, dict[str, str | None]] = {}
    depths_and_precisions = ((50, "float32"), (50, "default precision"), (18, "float32"))
    for depth, precision in depths_and_precisions:
        name = "auto" if precision == "default precision" else precision
        cases[OURS.format(depth, precision)] = functools.partial(ours, depth, name)
    keras_models: dict[str, Callable] = {
        APPLICATIONS: lambda: keras_applications_model()[1],
        APPLICATIONS_BFLOAT16: _in_bfloat16,
        HUB.format(50, "{}"): functools.partial(keras_hub_model, 50),
        HUB.format(18, "{}"): functools.partial(keras_hub_model, 18),
    }
    for model, make in keras_models.items():
        for setting, (variables, jit_compile) in KERAS_SETTINGS.items():
            name = model.format(setting)
            cases[name] = functools.partial(keras_peer, make, jit_compile)
            environment[name] = dict(variables)
    for depth, precision in ((50, "float32"), (50, "bfloat16"), (18, "float32")):
        for mode in (EAGER, COMPILED):
            name = TORCH.format(depth, precision, mode)
            half, compiled = precision == "bfloat16", mode == COMPILED
            cases[name] = functools.partial(torch_peer, depth, half, compiled)
            if onnx_peer is not None:
                environment[name] = dict(TORCH_ENVIRONMENT)
    if onnx_peer is not None:
        for depth in (50, 18):
            cases[ONNX.format(depth)] = functools.partial(onnx_peer, depth)
    cases[BOUND] = functools.partial(matrix_products, passes)
    return Benchmark(
        title=title,
        unit="images/s",
        cases=cases,
        minutes=minutes,
        comparisons=tuple(
            Comparison(what, ours_row, peers, target)
            for what, ours_row, peers, target in _comparisons(applications, torch, onnx)
            if set(peers) & set(cases)
        ),
        environment=environment,
        more_is_better=True,
        note=note,
        cores=all_cores(),
    )


def _in_bfloat16():
    """keras.applications' network under Keras' own policy for half precision."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    return keras_applications_model()[1]


def _comparisons(applications: float, torch: float, onnx: float | None) -> list[tuple]:
    def keras_rows(name: str) -> tuple[str, ...]:
        return tuple(name.format(setting) for setting in KERAS_SETTINGS)

    def torch_rows(depth: int, precision: str) -> tuple[str, ...]:
        return tuple(TORCH.format(depth, precision, mode) for mode in (EAGER, COMPILED))

    float32, default = (OURS.format(50, name) for name in ("float32", "default precision"))
    small = OURS.format(18, "float32")
    in_any_precision = (*keras_rows(APPLICATIONS), *keras_rows(APPLICATIONS_BFLOAT16))
    return [
        ("ResNet-50, float32", float32, keras_rows(APPLICATIONS), applications),
        ("ResNet-50, float32", float32, torch_rows(50, "float32"), torch),
        ("ResNet-50, float32", float32, (ONNX.format(50),), onnx),
        ("ResNet-50, float32", float32, keras_rows(HUB.format(50, "{}")), None),
        ("ResNet-50, default precision", default, in_any_precision, None),
        ("ResNet-50, default precision", default, torch_rows(50, "bfloat16"), None),
        ("ResNet-18, float32", small, keras_rows(HUB.format(18, "{}")), None),
        ("ResNet-18, float32", small, torch_rows(18, "float32"), None),
        ("ResNet-18, float32", small, (ONNX.format(18),), None),
    ]
