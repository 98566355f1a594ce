"""`tl-toolkit search`."""

from __future__ import annotations

import pathlib
import sys

import tyro

from tl_toolkit.cli.cache_limit import feature_cache
from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.open_page import open_page
from tl_toolkit.cli.recipe_flags import RecipeFlags, pin_of, recipe_from
from tl_toolkit.cli.tables import print_search
from tl_toolkit.cli.terminal import terminal


def search(
    flags: tyro.conf.OmitArgPrefixes[RecipeFlags],
    recipe: Maybe[pathlib.Path] = None,
    axis: tuple[str, ...] = (),
    tuner: str = "bayesian",
    trials: int | None = 24,
    executions: int = 1,
    objective: str = "val_loss",
    search_seed: int = 0,
    retrain: int = 0,
    workers: int = 0,
    output: pathlib.Path = pathlib.Path("saved_models/search"),
    overwrite: bool = False,
    cache_limit: Maybe[float] = None,
    photos: bool = True,
    open: bool = False,
    verbose: bool = False,
) -> None:
    """Searches batch size, learning rate and more, judged by validation images.

    Frozen layers are computed once for all trials. Ctrl-C stops the search after the current step; the same
    command resumes it.

    Args:
        flags: The recipe's fields, for everything that is not searched.
        recipe: A recipe.json to start from; flags override it. If the run's recipe.weights.json is next to it,
            the same weights are used.
        axis: What to search, such as batch_size=8,16,32 learning_rate=1e-4..1e-1 augmentation=photo,none: a list
            of values, or a range for learning_rate and weight_decay. Learning rates are for batches of 32
            images, and are scaled to each trial's batch size. Batch size and learning rate are always searched, but
            with --solver lbfgs, where each trial solves for its head in seconds. Other axes: strategy, on, tta,
            trainable_from, bn_mode, last_stage, resize, views, epochs, label_smoothing.
        tuner: bayesian, random, grid or hyperband.
        trials: Maximum number of trials; None: all of a grid or of Hyperband.
        executions: Trainings per trial, with different seeds; their mean is the trial's result.
        objective: What trials are compared by: val_loss, val_top1 or val_balanced_accuracy; of photos with several
            labels val_loss, val_mean_average_precision or val_macro_f1.
        search_seed: Seed of the tuner's random draws.
        retrain: Number of seeds with which the best recipe is trained again, on training and validation images;
            each result is tested once.
        workers: Processes on this machine that share the trials; 0: this process alone.
        output: The search's folder.
        overwrite: Replace a finished search, or discard an unfinished one of another recipe or space.
        cache_limit: See `tl-toolkit train --help`.
        photos: Show photos in the page that is left, report.html.
        open: Open that page in the browser when it is done.
        verbose: Show TensorFlow's own messages.
    """
    chosen = recipe_from(flags, recipe)
    with terminal(verbose) as progress:
        from tl_toolkit.tuning.workers import is_one_of_several, run_workers

        if workers and not is_one_of_several():
            command = [sys.executable, "-m", "tl_toolkit.cli", *sys.argv[1:]]
            raise SystemExit(run_workers(command, workers))
        from tl_toolkit.experiments.context import Context
        from tl_toolkit.tuning.search import search as run_search
        from tl_toolkit.tuning.space import parse_axes

        result = run_search(
            chosen,
            parse_axes(axis),
            tuner=tuner,
            trials=trials,
            executions=executions,
            objective=objective,
            seed=search_seed,
            retrain=retrain,
            output=output,
            overwrite=overwrite,
            context=Context(
                feature_cache=feature_cache(cache_limit),
                weights=pin_of(chosen, recipe),
                progress=progress,
                photos=photos,
            ),
        )
        if result is not None:
            print_search(result, progress)
            if open:
                open_page(result.page, progress)
