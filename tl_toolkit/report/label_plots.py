"""Curves of labels, as PNG files."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import average_precision_score, precision_recall_curve

from tl_toolkit.report.plots import DOTS_PER_INCH

MOST_CURVES = 10  # lines that can be told apart


def plot_label_curves(
    logits: np.ndarray, labels: np.ndarray, label_names: Sequence[str], path: pathlib.Path
) -> None:
    """Draws precision by the share found, a line a label: the commonest ones, where there are many.

    Args:
        logits: float[n, labels].
        labels: uint8[n, labels] of 0 and 1.
        label_names: In the order of the columns.
        path: PNG file.
    """
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for number in commonest_labels(labels):
        has, scores = labels[:, number] > 0, logits[:, number]
        precision, recall, _ = precision_recall_curve(has, scores)
        average = average_precision_score(has, scores)
        name = label_names[number].replace("$", r"\$")
        axes.step(recall, precision, where="post", label=f"{name}: {average:.3f}")
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


def commonest_labels(labels: np.ndarray, most: int = MOST_CURVES) -> list[int]:
    """Returns the numbers of the labels that most photos have, in their order; those that none has are left out."""
    counts = (labels > 0).sum(axis=0)
    order = np.argsort(-counts, kind="stable")[:most]
    return sorted(int(number) for number in order if counts[number])
