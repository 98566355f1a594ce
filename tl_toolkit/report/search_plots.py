"""Plots of a search, as PNG files."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from tl_toolkit.report.plots import DOTS_PER_INCH

COLOURS = "viridis"


def plot_search_map(
    batch_sizes: Sequence[int],
    learning_rates: Sequence[float],
    scores: Sequence[float | None],
    label: str,
    path: pathlib.Path,
) -> None:
    """Draws every trial by batch size and learning rate, coloured by its score.

    Args:
        batch_sizes: Of each trial.
        learning_rates: Of each trial, the actual ones.
        scores: Of each trial; None for one that gave none, drawn as a cross.
        label: What the scores are.
        path: PNG file.
    """
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    worked = np.array([score is not None for score in scores])
    x, y = np.asarray(batch_sizes, float), np.asarray(learning_rates, float)
    if worked.any():
        values = np.array([score for score in scores if score is not None], float)
        points = axes.scatter(
            x[worked], y[worked], c=values, cmap=COLOURS, s=90, edgecolors="black", linewidths=0.5
        )
        figure.colorbar(points, ax=axes, label=label)
        best = values.argmin() if label == "val_loss" else values.argmax()
        axes.scatter(
            x[worked][best],
            y[worked][best],
            s=260,
            facecolors="none",
            edgecolors="crimson",
            linewidths=2,
            label="best",
        )
    if not worked.all():
        axes.scatter(x[~worked], y[~worked], marker="x", color="gray", s=60, label="failed")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = sorted(set(batch_sizes))
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set(xlabel="batch size", ylabel="learning rate")
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")


def plot_parallel_coordinates(
    columns: dict[str, Sequence[Any]], scores: Sequence[float], label: str, path: pathlib.Path
) -> None:
    """Draws a line a trial across its values, coloured by its score.

    Args:
        columns: Values of the trials by axis: numbers, or words.
        scores: Of each trial.
        label: What the scores are; the last axis.
        path: PNG file.
    """
    columns = {**columns, label: list(scores)}
    figure = Figure(figsize=(2.2 * max(len(columns), 3), 4.2), layout="constrained")
    axes = figure.subplots()
    heights = np.empty((len(scores), len(columns)))
    for place, (name, values) in enumerate(columns.items()):
        heights[:, place], ticks = _heights(values, logarithmic=name == "learning_rate")
        for height, text in ticks:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            axes.text(place + 0.03, height, text, fontsize=8, va="center", zorder=3, bbox=box)
        axes.axvline(place, color="black", linewidth=0.8)
    norm = Normalize(min(scores), max(scores))
    colours = matplotlib.colormaps[COLOURS](norm(np.asarray(scores, float)))
    worst_first = np.argsort(np.asarray(scores) * (-1 if label == "val_loss" else 1))
    for number in worst_first:
        axes.plot(range(len(columns)), heights[number], color=colours[number], alpha=0.8)
    axes.set_xticks(range(len(columns)), list(columns))
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(columns) - 0.6)
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")


def _heights(
    values: Sequence[Any], logarithmic: bool
) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Places of the values from 0 to 1, and the marks to write next to the axis."""
    is_numeric = all(isinstance(value, (int, float)) for value in values)
    if is_numeric and len(set(values)) > 5:
        places = np.log10(values) if logarithmic else np.asarray(values, float)
        low, high = places.min(), places.max()
        marks = [float(low), float((low + high) / 2), float(high)]
        texts = [f"{10**mark if logarithmic else mark:.3g}" for mark in marks]
        span = (high - low) or 1.0
        return (places - low) / span, [
            ((mark - low) / span, text) for mark, text in zip(marks, texts, strict=True)
        ]
    kinds = sorted(
        set(values), key=lambda value: (value is None, value if is_numeric else str(value))
    )
    step = 1 / max(len(kinds) - 1, 1)
    place_of = {kind: number * step if len(kinds) > 1 else 0.5 for number, kind in enumerate(kinds)}
    return np.array([place_of[value] for value in values]), [
        (place, "–" if kind is None else f"{kind:.4g}" if is_numeric else str(kind))
        for kind, place in place_of.items()
    ]
