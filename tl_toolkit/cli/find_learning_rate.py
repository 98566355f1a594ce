"""`tl-toolkit find-learning-rate`."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from typing import TYPE_CHECKING, Any

import tyro

from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.recipe_flags import RecipeFlags, recipe_from
from tl_toolkit.cli.terminal import drawn, terminal
from tl_toolkit.cli.training_context import training_context
from tl_toolkit.progress import Table

if TYPE_CHECKING:
    from tl_toolkit.experiments.find_learning_rate import LearningRates

ROWS = 13  # two a decade


def find_learning_rate(
    flags: tyro.conf.OmitArgPrefixes[RecipeFlags],
    recipe: Maybe[pathlib.Path] = None,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    plot: Maybe[pathlib.Path] = None,
    cache_limit: Maybe[float] = None,
    verbose: bool = False,
) -> None:
    """Suggests a learning rate for a recipe: trains it for some steps while the rate rises.

    The batches are those of the training, and nothing is kept of it but cached features. The suggestion is where the
    loss falls fastest (Smith 2017; fastai's lr_find). If the curve shows none, the reason is printed instead.

    Args:
        flags: The recipe's fields, as for `tl-toolkit train`.
        recipe: A recipe.json to start from; flags override it. If the run's recipe.weights.json is next to it,
            the same weights are used.
        lowest: The first learning rate.
        highest: The last one, unless the loss diverges before.
        steps: Batches to train on, at least 20.
        plot: Where to draw the curve, a PNG file.
        cache_limit: Gigabytes of disk for the features of frozen layers. Default: 20.
        verbose: Show TensorFlow's own messages.
    """
    chosen = recipe_from(flags, recipe)
    with terminal(verbose) as progress:
        from tl_toolkit.experiments.find_learning_rate import find_learning_rate

        context = training_context(chosen, recipe, cache_limit, progress)
        found = find_learning_rate(
            chosen, lowest=lowest, highest=highest, steps=steps, context=context
        )
        progress.console.print(drawn(_table(found)))
        if plot is not None:
            found.plot(plot)
            progress.message(f"The curve is in {plot}")
        if found.suggestion is None:
            progress.message(
                f"No suggestion: {found.reason}. The recipe's own rate is {found.default:.2g}."
            )
            return
        progress.message(
            f"Suggested learning rate: {found.suggestion:.2g} (the recipe's own is {found.default:.2g}): {found.reason}.\n"
            f"{_command(flags, recipe, found.suggestion)}"
        )


def _table(found: LearningRates) -> Table:
    count = len(found.rates)
    chosen = sorted({round(i * (count - 1) / (ROWS - 1)) for i in range(ROWS)})
    rows = tuple(
        (f"{found.rates[i]:.1e}", f"{found.smoothed[i]:.3f}", f"{found.losses[i]:.3f}")
        for i in chosen
    )
    return Table(("learning rate", "loss, smoothed", "loss of the batch"), rows)


def _command(flags: Any, recipe: pathlib.Path | None, rate: float) -> str:
    """The words that train the same recipe with a learning rate."""
    words = ["tl-toolkit", "train"]
    if recipe is not None:
        words += ["--recipe", str(recipe)]
    for field in dataclasses.fields(flags):
        value = getattr(flags, field.name)
        if value is not None and field.name != "learning_rate":
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{field.name.replace('_', '-')}", *map(str, values)]
    return shlex.join([*words, "--learning-rate", f"{rate:.2g}"])
