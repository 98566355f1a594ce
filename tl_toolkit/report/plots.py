"""Plots of a run, as PNG files."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tl_toolkit.report.curves import Reliability
from tl_toolkit.report.ladder import ACCURACY, Rung, measured, on_test

DOTS_PER_INCH = 120
LARGEST_LABELLED_MATRIX = 20  # classes; with more, numbers in the cells cannot be read


def accuracy_column(row: Mapping[str, float]) -> tuple[str, str]:
    """Returns the column of a history that has the accuracy, and its name: of several labels, the share of them that is right."""
    if "label_accuracy" in row:
        return "label_accuracy", "Labels right"
    return "top1", "Accuracy"


def plot_training_curves(history: Sequence[dict[str, float]], path: pathlib.Path) -> None:
    """Draws loss and accuracy of each epoch, in training and in validation where there is one."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(history) == 1 else None
    accuracy, words = accuracy_column(history[0])
    for axes, key, title in ((loss_axes, "loss", "Loss"), (accuracy_axes, accuracy, words)):
        axes.plot(
            epochs, [row[key] for row in history], marker=marker, label="training (augmented)"
        )
        if f"val_{key}" in history[0]:
            axes.plot(
                epochs, [row[f"val_{key}"] for row in history], marker=marker, label="validation"
            )
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    loss_axes.set_ylim(bottom=0)
    accuracy_axes.set_ylim(0, 1.02)
    accuracy_axes.yaxis.set_major_formatter(PercentFormatter(1))
    figure.savefig(path, dpi=DOTS_PER_INCH)


def plot_regularisation_path(
    history: Sequence[dict[str, float]], best: int, path: pathlib.Path
) -> None:
    """Draws log loss and accuracy out of fold for every strength of the L2 penalty, the chosen one marked."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    strengths = [row["strength"] for row in history]
    accuracy, words = accuracy_column(history[0])
    for axes, key, title in zip(
        figure.subplots(1, 2), ("log_loss", accuracy), ("Log loss", words), strict=True
    ):
        axes.plot(strengths, [row[key] for row in history], marker="o")
        axes.axvline(strengths[best], color="tab:red", linestyle="--", label="chosen")
        axes.set(title=f"{title} out of fold", xlabel="strength C (smaller: held back more)")
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
        axes.legend()
        if key == accuracy:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    figure.savefig(path, dpi=DOTS_PER_INCH)


def plot_block_shares(shares: Mapping[str, float], path: pathlib.Path) -> None:
    """Draws which blocks of the network a head's answer comes from, first block at the left."""
    figure = Figure(figsize=(3 + 0.3 * len(shares), 3.6), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(shares)), list(shares.values()))
    axes.set_xticks(range(len(shares)), list(shares), rotation=90)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(title="Where the answer comes from", ylabel="share of the head's kernel")
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def plot_confusion_matrix(
    matrix: Sequence[Sequence[int]], class_names: Sequence[str], path: pathlib.Path
) -> None:
    """Draws how many images of each class (rows) were taken for which (columns)."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(4 + 0.35 * len(counts), 14)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(
        image, ax=axes, shrink=0.8, format=PercentFormatter(1), label="share of the class"
    )
    ticks = range(len(class_names))
    rotation = 0 if max(map(len, class_names)) < 4 else 90
    axes.set_xticks(ticks, class_names, rotation=rotation, parse_math=False)
    axes.set_yticks(ticks, class_names, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    if len(counts) <= LARGEST_LABELLED_MATRIX:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")  # long class names reach over


def plot_reliability(answers: Mapping[str, Reliability], path: pathlib.Path) -> None:
    """Draws how many of the answers given with each probability are right; on the diagonal, as many as it says."""
    figure = Figure(figsize=(4.6, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    for name, found in answers.items():
        some = found.counts > 0
        axes.plot(
            found.confidences[some],
            found.accuracies[some],
            marker="o",
            label=f"{name}: calibration error {found.calibration_error:.3f}",
        )
    axes.set(
        xlabel="probability of the answer", ylabel="right answers", xlim=(0, 1), ylim=(0, 1.02)
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center")
    figure.savefig(path, dpi=DOTS_PER_INCH)


def plot_comparison(
    rows: Mapping[str, Sequence[float]], title: str, path: pathlib.Path, measure: str = ACCURACY
) -> None:
    """Draws the accuracies of each strategy's runs, or what `measure` says, and their mean, one line a strategy."""
    figure = Figure(figsize=(7, 1 + 0.6 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for position, (_, accuracies) in enumerate(reversed(list(rows.items()))):
        axes.plot(accuracies, [position] * len(accuracies), "o", color="tab:blue", alpha=0.5)
        axes.plot(np.mean(accuracies), position, "|", color="tab:red", markersize=22, mew=2.5)
    axes.set_yticks(range(len(rows)), list(rows)[::-1])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_title(title, parse_math=False)
    axes.set(xlabel=f"{on_test(measure)}; each dot is a run, the bar their mean")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")


def plot_ladder(rungs: Sequence[Rung], on: str, path: pathlib.Path) -> None:
    """Draws accuracy against the seconds that all rungs up to one took, the kept one marked.

    Args:
        rungs: Those that were not climbed are left out.
        on: The images that select, in words.
        path: PNG file.
    """
    climbed = measured(rungs)
    seconds = np.cumsum([rung.seconds for rung in climbed])
    accuracies = np.array([rung.top1 for rung in climbed], float)
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.step(seconds, np.maximum.accumulate(accuracies), where="post", color="tab:blue", alpha=0.4)
    for number, (rung, x, y) in enumerate(zip(climbed, seconds, accuracies, strict=True), start=1):
        colour = "tab:red" if rung.kept else "tab:blue"
        label = f"{number}. {rung.name}{', kept' if rung.kept else ''}"
        axes.plot(x, y, marker="*" if rung.kept else "o", markersize=13 if rung.kept else 7,
                  color=colour, linestyle="", label=label)  # fmt: skip
        axes.annotate(str(number), (x, y), xytext=(0, 9), textcoords="offset points", ha="center")
    if seconds[-1] > 10 * seconds[0]:
        axes.set_xscale("log")
    axes.margins(0.12, 0.18)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set(xlabel="seconds of training, all rungs so far", ylabel=f"{climbed[0].measure} on {on}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=DOTS_PER_INCH)
