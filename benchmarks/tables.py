"""A benchmark's results as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from harness import IDLE_ALLOWED, LEAST_ROUNDS, TRIES, Benchmark, Comparison, Results, idle_share
from stopwatch import Measured

MARK = "†"


def render(benchmark: Benchmark, results: Results) -> str:
    """Returns the figures, a table a unit, and the ratios."""
    lines = [f"## {benchmark.title}", ""]
    if benchmark.note:
        lines += [benchmark.note, ""]
    units = {f.unit or benchmark.unit: None for row in results.rows.values() for f in row.values()}
    for unit in units:
        lines += _table(benchmark, results, unit)
    if results.missing:
        reasons = (f"{name} ({reason})" for name, reason in results.missing.items())
        lines += [f"Not measured: {'; '.join(reasons)}.", ""]
    if any(MARK in line for line in lines):
        lines += [
            f"{MARK} Cores were idle for more than {IDLE_ALLOWED:.0%} of the time, in the best of {TRIES} tries of "
            "a round.",
            "",
        ]
    ratios = [_ratio(benchmark, results, comparison) for comparison in benchmark.comparisons]
    if any(ratios):
        lines += ["| | ratio | range | target | against |", "|---|---|---|---|---|"]
        lines += [row for row in ratios if row]
    return "\n".join(lines).rstrip() + "\n"


def markdown_row(cells: Iterable[str]) -> str:
    """Returns a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _table(benchmark: Benchmark, results: Results, unit: str) -> list[str]:
    lines = [f"| | median, {unit} | range | wall, s | CPU, s | idle |", "|---|---|---|---|---|---|"]
    for name, by_round in results.rows.items():
        figures = list(by_round.values())
        if (figures[0].unit or benchmark.unit) != unit:
            continue
        idle = max(idle_share(figure, benchmark.cores) for figure in figures)
        mark = f" {MARK}" if idle > IDLE_ALLOWED else ""
        cells = (
            f"{name}{mark}",
            _number(statistics.median(figure.figure for figure in figures)),
            _range([figure.figure for figure in figures]),
            _number(statistics.median(figure.spent.wall for figure in figures)),
            _number(statistics.median(figure.spent.cpu for figure in figures)),
            f"{idle:.0%}" if not figures[0].is_wait else "–",
        )
        lines.append(markdown_row(cells))
    return [*lines, ""]


def _ratio(benchmark: Benchmark, results: Results, comparison: Comparison) -> str:
    """A ratio's row; nothing where there are too few rounds to say how far it can be trusted."""
    ours = results.rows.get(comparison.ours, {})
    measured = {peer: results.rows[peer] for peer in comparison.peers if peer in results.rows}
    if not ours or not measured:
        return ""
    best = max if benchmark.more_is_better else min
    peer = best(measured, key=lambda name: _median(measured[name].values()))
    ratios = [
        ours[number].figure / figure.figure
        if benchmark.more_is_better
        else figure.figure / ours[number].figure
        for number, figure in measured[peer].items()
        if number in ours
    ]
    if len(ratios) < LEAST_ROUNDS:
        return ""
    bound = "≤" if comparison.at_most else "≥"
    target = f"{bound} {comparison.target:g}×" if comparison.target is not None else "–"
    low, high = min(ratios), max(ratios)
    return (
        f"| {comparison.what} | {statistics.median(ratios):.2f}× | {low:.2f}–{high:.2f}× | {target} | "
        f"{peer} |"
    )


def _median(figures: Iterable[Measured]) -> float:
    return statistics.median(figure.figure for figure in figures)


def _range(values: Sequence[float]) -> str:
    if len(values) < LEAST_ROUNDS:
        return f"measured {'once' if len(values) == 1 else 'twice'}"
    return f"{_number(min(values))}–{_number(max(values))}"


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
