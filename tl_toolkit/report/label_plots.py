"""Curves of labels, as a PNG file."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tl_toolkit.report.curves import LabelCurve
from tl_toolkit.report.plots import DOTS_PER_INCH


def plot_label_curves(curves: Sequence[LabelCurve], path: pathlib.Path) -> None:
    """Draws precision by the share found, a line a label."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        name = curve.name.replace("$", r"\$")
        label = f"{name}: {curve.average_precision:.3f}"
        axes.step(curve.recall, curve.precision, where="post", label=label)
    axes.set(
        title="Precision and share found, with average precision",
        xlabel="found (share of the photos that have it)",
        ylabel="precision (share that is right)",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    if axes.lines:
        figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=DOTS_PER_INCH)
