"""Runs the cases of a benchmark in turn, each in its own process, and compares them round by round."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable

HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One ratio of the results, over 1 where we are better than the peer.

    Attributes:
        what: What is compared.
        ours: Our row: a case, or `case: figure` where a case returns several figures.
        peer: The row it is compared with.
        target: The ratio to reach, or None.
        at_most: Whether the target is an upper bound.
    """

    what: str
    ours: str
    peer: str
    target: float | None = None
    at_most: bool = False


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One question, answered by one file of this folder.

    Attributes:
        title: One line.
        unit: Unit of the figures.
        cases: By name, a function that measures once and returns one figure, or several by name, whose rows
            are then called `case: figure`. Each runs in its own process.
        comparisons: The ratios to report.
        environment: Environment variables of a case's process, on top of the shell's; None unsets one.
        more_is_better: Whether a larger figure is better.
        note: What the reader has to know about the figures.
        rounds: How often every case is measured.
    """

    title: str
    unit: str
    cases: dict[str, Callable[[], float | dict[str, float]]]
    comparisons: tuple[Comparison, ...] = ()
    environment: dict[str, dict[str, str | None]] = dataclasses.field(default_factory=dict)
    more_is_better: bool = False
    note: str = ""
    rounds: int = 3


def main(benchmark: Benchmark, path: str) -> None:
    """Runs `python benchmarks/NAME.py [CASE]`: one measurement of a case, or all rounds as Markdown."""
    if len(sys.argv) > 1:
        print(json.dumps({"figure": benchmark.cases[sys.argv[1]]()}))
    else:
        print(render(benchmark, measure(benchmark, path)))


def measure(benchmark: Benchmark, path: str) -> dict[str, list[float]]:
    """Returns a figure a round for every case, except for those whose library is not installed.

    Raises:
        RuntimeError: A case failed.
    """
    figures: dict[str, list[float]] = {}
    for round_number in range(benchmark.rounds):
        for name in benchmark.cases:
            for row, figure in _run(benchmark, path, name).items():
                figures.setdefault(row, []).append(figure)
                print(
                    f"{benchmark.title}, round {round_number + 1}, {row}: {figure:.3f}",
                    file=sys.stderr,
                    flush=True,
                )
    return figures


def _run(benchmark: Benchmark, path: str, name: str) -> dict[str, float]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment |= benchmark.environment.get(name, {})
    environment = {key: value for key, value in environment.items() if value is not None}
    process = subprocess.run(
        [sys.executable, path, name], capture_output=True, text=True, check=False, env=environment
    )
    if process.returncode:
        if "ModuleNotFoundError" in process.stderr:
            return {}
        raise RuntimeError(f"{benchmark.title}, {name}:\n{process.stderr[-2000:]}")
    figure = json.loads(process.stdout.splitlines()[-1])["figure"]
    if isinstance(figure, dict):
        return {f"{name}: {key}": value for key, value in figure.items()}
    return {name: figure}


def render(benchmark: Benchmark, figures: dict[str, list[float]]) -> str:
    """Returns the figures and the ratios as Markdown."""
    lines = [f"## {benchmark.title}", ""]
    if benchmark.note:
        lines += [benchmark.note, ""]
    lines += [f"| | median, {benchmark.unit} | range |", "|---|---|---|"]
    lines += [f"| {name} | {_summary(values)} |" for name, values in figures.items()]
    missing = [n for n in benchmark.cases if not any(row.startswith(n) for row in figures)]
    lines += [f"| {name} | not installed | – |" for name in missing]
    ratios = [_ratio(benchmark, figures, comparison) for comparison in benchmark.comparisons]
    rows = [row for row in ratios if row]
    if rows:
        lines += ["", "| | ratio | range | target |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _ratio(benchmark: Benchmark, figures: dict[str, list[float]], comparison: Comparison) -> str:
    pairs = list(
        zip(figures.get(comparison.ours, []), figures.get(comparison.peer, []), strict=False)
    )
    if not pairs:
        return ""
    ratios = [ours / peer if benchmark.more_is_better else peer / ours for ours, peer in pairs]
    bound = "≤" if comparison.at_most else "≥"
    target = f"{bound} {comparison.target:g}×" if comparison.target is not None else "–"
    low, high = min(ratios), max(ratios)
    return f"| {comparison.what} | {statistics.median(ratios):.2f}× | {low:.2f}–{high:.2f}× | {target} |"


def _summary(values: list[float]) -> str:
    digits = 1 if statistics.median(values) >= 10 else 3
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} | {low:.{digits}f}–{high:.{digits}f}"
