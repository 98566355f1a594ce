"""`tl-toolkit train`."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

import tyro

from tl_toolkit.catalog import LBFGS
from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.open_page import open_page
from tl_toolkit.cli.recipe_flags import RecipeFlags, recipe_from
from tl_toolkit.cli.tables import defaults_table, plan_table, print_run
from tl_toolkit.cli.terminal import TerminalProgress, drawn, terminal
from tl_toolkit.cli.training_context import training_context
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import Auto

if TYPE_CHECKING:
    from tl_toolkit.experiments.context import Context

# Of the hyperparameters, those of a head that is solved for.
OF_SOLVED = ("views", "label_smoothing")


def train(
    flags: tyro.conf.OmitArgPrefixes[RecipeFlags],
    recipe: Maybe[pathlib.Path] = None,
    output: Maybe[pathlib.Path] = None,
    overwrite: bool = False,
    plan: bool = False,
    explain_defaults: bool = False,
    cache_limit: Maybe[float] = None,
    checkpoint_seconds: float = 10.0,
    photos: bool = True,
    open: bool = False,
    verbose: bool = False,
) -> None:
    """Trains one recipe: from images to a tested, exported classifier in one folder.

    Ctrl-C or SIGTERM stops the run after the current step; the same command resumes it.

    Args:
        flags: The recipe's fields.
        recipe: A recipe.json to start from; flags override it. If the run's recipe.weights.json is next to it,
            the same weights are used.
        output: The run's folder. Default: one under saved_models/, named after the recipe.
        overwrite: Replace a finished run of that name, if its folder holds nothing else.
        plan: Print what would be trained and what stays frozen, then stop.
        explain_defaults: Print what each field that is left open becomes for these images and weights, and by what
            rule, then stop.
        cache_limit: Gigabytes of disk for the features of frozen layers, over all runs; the least recently used
            make room. If a run's features do not fit, it streams the images. Default: 20.
        checkpoint_seconds: Minimum seconds between two checkpoints; more if writing one takes long.
        photos: Show photos in the page that is left, report.html.
        open: Open that page in the browser when it is done.
        verbose: Show TensorFlow's own messages.
    """
    chosen = recipe_from(flags, recipe)
    with terminal(verbose) as progress:
        from tl_toolkit.experiments.run import run

        context = training_context(
            chosen,
            recipe,
            cache_limit,
            progress,
            checkpoint_seconds=checkpoint_seconds,
            photos=photos,
        )
        if explain_defaults:
            _print_defaults(chosen, context, progress)
            return
        if plan:
            show = _print_rungs if isinstance(chosen.strategy, Auto) else _print_plan
            show(chosen, context, progress)
            return
        result = run(chosen, output, overwrite=overwrite, context=context)
        if result is None:  # another process of the cluster prints it
            return
        print_run(result, progress)
        if open:
            open_page(result.page, progress)


def _print_rungs(recipe: Recipe, context: Context, progress: TerminalProgress) -> None:
    """Prints what would be trained in turn, and how long each training would take."""
    from tl_toolkit.experiments.climb import plan_climb
    from tl_toolkit.report.ladder import ladder_table

    planned = plan_climb(recipe, context)
    progress.message(planned.context.dataset.summary() if planned.context.dataset else "")
    progress.console.print(drawn(ladder_table(planned.rungs)))
    progress.message(f"The log loss on {planned.selection.images} decides.")


def _print_defaults(recipe: Recipe, context: Context, progress: TerminalProgress) -> None:
    """Prints what the fields that the recipe leaves open become."""
    from tl_toolkit.devices.strategy import describe_devices
    from tl_toolkit.experiments.prepare import prepare
    from tl_toolkit.experiments.resolved_fields import resolved_fields

    experiment = prepare(recipe, context)
    progress.message(experiment.dataset.summary())
    devices = describe_devices(context.devices(recipe), None)
    progress.console.print(drawn(defaults_table(resolved_fields(experiment, devices))))


def _print_plan(recipe: Recipe, context: Context, progress: TerminalProgress) -> None:
    """Prints what would be trained and what stays frozen, and every hyperparameter."""
    from tl_toolkit.experiments.prepare import prepare
    from tl_toolkit.experiments.report import describe_updates

    experiment = prepare(recipe, context)
    progress.message(experiment.dataset.summary())
    progress.message(f"{recipe.strategy.name} from {experiment.spec.name}")
    progress.console.print(drawn(plan_table(experiment.plan)))
    progress.message(f"precision: {experiment.precision}")
    progress.message(f"solver: {recipe.solver}")
    for field in dataclasses.fields(experiment.hyperparameters):
        if field.name in OF_SOLVED or (field.name != "notes" and recipe.solver != LBFGS):
            value = getattr(experiment.hyperparameters, field.name)
            progress.message(f"{field.name}: {value}")
    if updates := describe_updates(experiment):
        progress.message(f"updates: {updates}")
    for note in experiment.notes:
        progress.message(f"note: {note}")
