"""What a search leaves behind: the best recipe, a table, two plots, TensorBoard's HParams."""

from __future__ import annotations

import pathlib
import shutil

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from tl_toolkit.report.search_plots import plot_parallel_coordinates, plot_search_map
from tl_toolkit.tuning.trials import COMPLETED, Trial, write_table

TENSORBOARD = "tensorboard"
BEST_RECIPE = "best_recipe.json"


def write_results(trials: list[Trial], best: Trial, objective: str, folder: pathlib.Path) -> None:
    """Writes everything but the trials' records."""
    best.recipe.save(folder / BEST_RECIPE)
    write_table(trials, folder / "trials.csv")
    if {"batch_size", "learning_rate"} <= set(best.axes):
        plot_search_map(
            [trial.recipe.batch_size or 0 for trial in trials],
            [trial.recipe.learning_rate or 0.0 for trial in trials],
            [trial.figures.get(objective) for trial in trials],
            objective,
            folder / "search_map.png",
        )
    completed = [trial for trial in trials if trial.status == COMPLETED]
    plot_parallel_coordinates(
        {axis: [trial.value_of(axis) for trial in completed] for axis in best.axes},
        [trial.figures[objective] for trial in completed],
        objective,
        folder / "parallel_coordinates.png",
    )
    _write_hparams(completed, folder / TENSORBOARD)


def _write_hparams(trials: list[Trial], folder: pathlib.Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for trial in trials:
        values = {axis: trial.value_of(axis) for axis in trial.axes}
        with tf.summary.create_file_writer(str(folder / str(trial.number))).as_default():
            hparams.hparams(
                {axis: "–" if value is None else value for axis, value in values.items()},
                trial_id=f"trial {trial.number}",
            )
            for name, value in trial.figures.items():
                tf.summary.scalar(name, value, step=0)
