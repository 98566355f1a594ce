"""Plots of what answers are worth at thresholds, as PNG files."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tl_toolkit.report.curves import HeldBackCurve, RankingCurves
from tl_toolkit.report.plots import DOTS_PER_INCH


def plot_roc(
    curves: RankingCurves, name: str, thresholds: Sequence[Mapping[str, Any]], path: pathlib.Path
) -> None:
    """Draws the images of a class that are found against false alarms, and against precision.

    Args:
        curves: Of the class.
        name: Its name.
        thresholds: `threshold_rows`, marked on both curves.
        path: PNG file.
    """
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    roc, precision_recall = figure.subplots(1, 2)
    roc.plot(curves.false_alarms, curves.found, label=f"area {curves.roc_auc:.3f}")
    roc.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--", label="chance")
    roc.set(title="ROC", xlabel="false alarms (share of the others)", ylabel="found")
    precision_recall.step(
        curves.recall,
        curves.precision,
        where="post",
        label=f"average precision {curves.average_precision:.3f}",
    )
    precision_recall.axhline(
        curves.positive_share, color="grey", linewidth=1, linestyle="--", label="chance"
    )
    precision_recall.set(
        title="Precision and recall", xlabel="found", ylabel="precision (share that is right)"
    )
    for row in thresholds:
        at = row["test"]
        label = f"to find {100 * row['find']:g}%: from {row['threshold']:g}"
        (line,) = roc.plot(at["false_alarms"], at["found"], "o", label=label)
        if at["precision"] is not None:
            precision_recall.plot(at["found"], at["precision"], "o", color=line.get_color())
    for axes in (roc, precision_recall):
        _percent(axes)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(loc="lower right" if axes is roc else "best")
    figure.suptitle(f"Finding {name!r} in the test images", parse_math=False)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def plot_held_back(curve: HeldBackCurve, path: pathlib.Path) -> None:
    """Draws how many of the answers that are given are right, against the share that is held back as unsure."""
    figure = Figure(figsize=(6, 4.4), layout="constrained")
    axes = figure.subplots()
    shares, accuracies = curve.shares, curve.accuracies
    axes.plot(shares, accuracies)
    marked: dict[tuple[float, float], list[str]] = {}
    for row in curve.marks:
        if row["top1"] is not None:
            marked.setdefault((row["held_back"], row["top1"]), []).append(f"{row['below']:g}")
    for (share, accuracy), names in marked.items():
        axes.plot(share, accuracy, "o", color="tab:red")
        text = names[0] if len(names) == 1 else f"{names[0]}–{names[-1]}"
        axes.annotate(
            text, (share, accuracy), xytext=(0, 7), textcoords="offset points", ha="center"
        )
    lowest = min(np.min(accuracies[shares <= 0.9]), accuracies[0])
    axes.set(
        title="Answers held back where the model is unsure",
        xlabel="share held back (at a mark, all answers below that probability)",
        ylabel="right, of the answers that are given",
        xlim=(-0.03, 1.0),
        ylim=(max(lowest - 0.03, 0), 1 + 0.15 * (1.03 - lowest)),
    )
    _percent(axes)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
