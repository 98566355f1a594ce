"""Contenders in turn, each in a process of its own, several rounds; ratios with their range."""

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
    """One line of the results: a peer's figure over ours, or the other way where more is better.

    Attributes:
        what: What is measured.
        ours: Contender's name.
        peer: Contender's name.
        target: What the ratio should be at least, or None.
        at_most: Whether the target is what it should be at most.
    """

    what: str
    ours: str
    peer: str
    target: float | None = None
    at_most: bool = False


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What a file of this folder measures.

    Attributes:
        title: One line.
        unit: Of the cases' figures.
        cases: By name: measures once and returns a figure, or several by their names, which then
            stand behind the case's and a colon. Run in a process of its own.
        comparisons: Which are put beside which.
        environment: Of a case's process, by its name, beside what the shell gives; None unsets.
        more_is_better: Whether a larger figure is better.
        note: What to know of the figures.
        rounds: How often the cases take turns.
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
    """What `python benchmarks/NAME.py [CONTENDER]` does: one measurement, or all rounds as Markdown."""
    if len(sys.argv) > 1:
        print(json.dumps({"figure": benchmark.cases[sys.argv[1]]()}))
    else:
        print(render(benchmark, measure(benchmark, path)))


def measure(benchmark: Benchmark, path: str) -> dict[str, list[float]]:
    """Returns every case's figures, a round each; none for one whose library is not installed.

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
    """The figures and the ratios as Markdown."""
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
