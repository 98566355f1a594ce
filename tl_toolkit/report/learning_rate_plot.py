"""The plot of a search for the learning rate."""

from __future__ import annotations

import pathlib

import numpy as np
from matplotlib.figure import Figure

from tl_toolkit.report.plots import DOTS_PER_INCH


def plot_learning_rates(
    rates: np.ndarray,
    losses: np.ndarray,
    smoothed: np.ndarray,
    suggestion: float | None,
    default: float,
    path: pathlib.Path,
) -> None:
    """Draws the loss over the learning rate, the suggested and the recipe's own rate marked.

    Args:
        rates: float64[steps].
        losses: float64[steps], of each batch.
        smoothed: float64[steps].
        suggestion: None: there is none to mark.
        default: What the recipe is trained with as it is.
        path: Of the PNG file.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, ".", color="tab:blue", alpha=0.4, label="a batch's loss")
    axes.plot(rates, smoothed, color="tab:blue", label="smoothed")
    if suggestion is not None:
        axes.axvline(
            suggestion, color="tab:red", linestyle="--", label=f"suggested: {suggestion:.1e}"
        )
    axes.axvline(default, color="grey", linestyle=":", label=f"of the recipe: {default:.1e}")
    # A divergence would press the part that is read to a line.
    low, start = float(smoothed.min()), float(smoothed[0])
    room = max(start, low, float(np.median(losses))) * 1.6 - low
    axes.set_ylim(max(low - 0.08 * room, 0), low + room)
    axes.set_xscale("log")
    axes.set(
        title="Loss while the learning rate rises", xlabel="learning rate", ylabel="training loss"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=DOTS_PER_INCH, format="png")
