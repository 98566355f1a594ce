"""Draws the plots of a run as PNG files, in this process or as the child of `plot_process.py`."""

from __future__ import annotations

import pathlib
import pickle
import sys

from tl_toolkit.report.answer_plots import plot_held_back, plot_roc
from tl_toolkit.report.contact_sheet import plot_contact_sheet
from tl_toolkit.report.label_plots import plot_label_curves
from tl_toolkit.report.plots import (
    plot_block_shares,
    plot_confusion_matrix,
    plot_ladder,
    plot_regularisation_path,
    plot_reliability,
    plot_training_curves,
)
from tl_toolkit.report.run_plots import (
    BLOCK_SHARES,
    CONFUSION_MATRIX,
    CONTACT_SHEET,
    HELD_BACK,
    LABEL_CURVES,
    LADDER_PLOT,
    REGULARISATION_PATH,
    RELIABILITY,
    ROC,
    TRAINING_CURVES,
    AnswerPlots,
    RunPlots,
)


def draw_run(plots: RunPlots, folder: pathlib.Path) -> None:
    """Draws what training saw, how it went, and of the test the confusion matrix and what probabilities are worth."""
    if plots.sheet is not None:
        plot_contact_sheet(plots.sheet, folder / CONTACT_SHEET)
    history, chosen = plots.history, plots.chosen_strength
    if history is not None and chosen is None:
        plot_training_curves(history, folder / TRAINING_CURVES)
    if history is not None and chosen is not None:
        plot_regularisation_path(history, chosen, folder / REGULARISATION_PATH)
    if plots.block_shares is not None:
        plot_block_shares(plots.block_shares, folder / BLOCK_SHARES)
    if plots.rungs:
        plot_ladder(plots.rungs, plots.selected_on, folder / LADDER_PLOT)
    if isinstance(plots.answers, AnswerPlots):
        _draw_answers(plots.answers, folder)
    else:
        plot_label_curves(plots.answers, folder / LABEL_CURVES)


def _draw_answers(answers: AnswerPlots, folder: pathlib.Path) -> None:
    plot_confusion_matrix(answers.confusion_matrix, answers.class_names, folder / CONFUSION_MATRIX)
    plot_reliability(answers.reliability, folder / RELIABILITY)
    plot_held_back(answers.held_back, folder / HELD_BACK)
    if answers.ranking is not None:
        plot_roc(answers.ranking, answers.positive, answers.thresholds, folder / ROC)


def main() -> None:
    """Draws what its parent hands it on standard input, and hands back what went wrong."""
    plots, folder = pickle.load(sys.stdin.buffer)
    try:
        draw_run(plots, folder)
    except Exception as error:
        sys.stdout.buffer.write(pickle.dumps(error))
        raise
