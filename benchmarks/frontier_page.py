"""Table, findings and plot of `frontier.py`, for the documents."""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Sequence

from frontier_data import PHOTOS
from frontier_points import Point, findings, our_curve
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from tables import markdown_row

SECTION = "frontier"  # of the document, between its markers
MARKERS = "os^Dvp<X>"
NONE_ABOVE = "No peer's point lies above our curve."


def section(points: Sequence[Point], missing: Sequence[str], versions: str) -> str:
    """Returns findings, table and what the figures belong to, as Markdown.

    Args:
        points: Pooled over their splits.
        missing: Who could not run, and why.
        versions: Machine and packages.
    """
    if not points:
        return "Not measured yet: `python benchmarks/frontier.py` does."
    lines = ["![Accuracy against wall seconds](frontier.svg)", "", *table(points), ""]
    found = findings(points)
    if found:
        lines += ["Peers' points above our curve:", "", *(f"- {finding}." for finding in found)]
    else:
        lines.append(NONE_ABOVE)
    if missing:
        lines += ["", f"Left out: {'; '.join(missing)}."]
    return "\n".join([*lines, "", f"Measured on {datetime.date.today()}, {versions}"])


def table(points: Sequence[Point]) -> list[str]:
    """Returns a line of Markdown a point, by data set, ours first, and time; our curve is in bold."""
    lines = [
        "| photos | contender | | wall, s | CPU, s | test accuracy | 95% interval | log loss | validation | splits |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    curve = {
        (point.data, point.contender, point.setting)
        for data in {point.data for point in points}
        for point in our_curve([p for p in points if p.data == data])
    }
    for p in sorted(points, key=lambda p: (p.data, not p.is_ours, p.contender, p.seconds)):
        low, high = p.interval
        name = f"**{p.contender}**" if (p.data, p.contender, p.setting) in curve else p.contender
        cells = (
            p.data,
            name,
            p.setting,
            f"{p.seconds:.1f}",
            f"{p.cpu_seconds:.1f}",
            f"{p.accuracy:.3f}",
            f"{low:.3f}–{high:.3f}",
            f"{p.log_loss:.3f}",
            f"{p.validation:.3f}",
            str(len(p.seeds)),
        )
        lines.append(markdown_row(cells))
    return lines


def write_plot(points: Sequence[Point], path: pathlib.Path) -> None:
    """Draws accuracy against seconds as SVG, a panel a data set."""
    names = [data for data in PHOTOS if any(point.data == data for point in points)]
    if not names:
        return
    # Text stays text, and the same points give the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "frontier"}):
        figure = Figure(figsize=(max(4.6 * len(names) + 1.4, 8.4), 5.2), layout="constrained")
        peers = sorted({point.contender for point in points if not point.is_ours})
        for axes, data in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            _draw(axes, [point for point in points if point.data == data], peers)
            axes.set_title(PHOTOS[data].title, fontsize=10)
        lines = {}
        for axes in figure.axes:
            handles, labels = axes.get_legend_handles_labels()
            lines |= dict(zip(labels, handles, strict=True))
        figure.legend(
            lines.values(), lines.keys(), loc="outside lower center", ncols=3, frameon=False
        )
        figure.savefig(path, metadata={"Date": None})


def _draw(axes: Axes, points: Sequence[Point], peers: Sequence[str]) -> None:
    for number, name in enumerate(peers):
        own = sorted((p for p in points if p.contender == name), key=lambda p: p.seconds)
        axes.plot(
            [p.seconds for p in own],
            [p.accuracy for p in own],
            color=f"C{number}",
            marker=MARKERS[number % len(MARKERS)],
            linewidth=1,
            linestyle=":",
            label=name,
        )
    ours = [p for p in points if p.is_ours]
    axes.plot(
        [p.seconds for p in ours],
        [p.accuracy for p in ours],
        color="black",
        marker="o",
        markerfacecolor="white",
        linestyle="none",
        label="tl_toolkit, each training",
    )
    curve, last = our_curve(ours), max(p.seconds for p in points)
    if curve:
        axes.plot(
            [*(p.seconds for p in curve), last],
            [*(p.accuracy for p in curve), curve[-1].accuracy],
            color="black",
            linewidth=2.5,
            drawstyle="steps-post",
            label="tl_toolkit, chosen by validation images",
        )
    axes.set(xscale="log", xlabel="wall seconds until the model is trained", ylabel="test accuracy")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(alpha=0.3)
