"""`tl-toolkit cross-validate`."""

from __future__ import annotations

import pathlib

import tyro

from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.open_page import open_page
from tl_toolkit.cli.recipe_flags import RecipeFlags, recipe_from
from tl_toolkit.cli.tables import folds_table
from tl_toolkit.cli.terminal import drawn, terminal
from tl_toolkit.cli.training_context import training_context


def cross_validate(
    flags: tyro.conf.OmitArgPrefixes[RecipeFlags],
    recipe: Maybe[pathlib.Path] = None,
    folds: int = 5,
    output: Maybe[pathlib.Path] = None,
    overwrite: bool = False,
    cache_limit: Maybe[float] = None,
    checkpoint_seconds: float = 10.0,
    photos: bool = True,
    open: bool = False,
    verbose: bool = False,
) -> None:
    """Trains one recipe once a fold of its training and validation images; test images are never read.

    Every image is validated by a training without it. No model is exported. Ctrl-C or SIGTERM stops after the current
    step; the same command resumes.

    Args:
        flags: The recipe's fields.
        recipe: A recipe.json to start from; flags override it. See `tl-toolkit train --help`.
        folds: How many folds the images are dealt into, every class evenly, copies of a file together.
        output: Folder for the figures. Default: one under saved_models/, named after the recipe.
        overwrite: Replace a finished cross-validation of that name, if its folder holds nothing else.
        cache_limit: See `tl-toolkit train --help`.
        checkpoint_seconds: Minimum seconds between two checkpoints; more if writing one takes long.
        photos: Show photos in the page that is left, report.html.
        open: Open that page in the browser when it is done.
        verbose: Show TensorFlow's own messages.
    """
    chosen = recipe_from(flags, recipe)
    with terminal(verbose) as progress:
        from tl_toolkit.experiments.k_fold import cross_validate as cross_validate_recipe

        context = training_context(
            chosen,
            recipe,
            cache_limit,
            progress,
            checkpoint_seconds=checkpoint_seconds,
            photos=photos,
        )
        found = cross_validate_recipe(
            chosen, folds=folds, output=output, overwrite=overwrite, context=context
        )
        if found is None:  # another process of the cluster prints it
            return
        progress.console.print(drawn(folds_table(found)))
        for note in found.notes:
            progress.message(f"note: {note}")
        progress.message(f"Everything is in {found.folder}\nThe page to look at: {found.page}")
        if open:
            open_page(found.page, progress)
