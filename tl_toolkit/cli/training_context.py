"""What the commands that train a recipe share."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

from tl_toolkit.cli.cache_limit import feature_cache
from tl_toolkit.cli.recipe_flags import pin_of
from tl_toolkit.progress import Progress
from tl_toolkit.recipe import Recipe

if TYPE_CHECKING:
    from tl_toolkit.experiments.context import Context


def training_context(
    recipe: Recipe,
    recipe_file: pathlib.Path | None,
    cache_limit: float | None,
    progress: Progress,
    **fields: Any,
) -> Context:
    """Returns where a recipe trains: with the weights that its file recorded, and the cache's limit.

    Args:
        recipe: What is trained.
        recipe_file: What it was read from, if anything.
        cache_limit: Gigabytes; None: the default.
        progress: Shows what is done.
        fields: Others of the context.
    """
    from tl_toolkit.experiments.context import Context

    return Context(
        feature_cache=feature_cache(cache_limit),
        weights=pin_of(recipe, recipe_file),
        progress=progress,
        **fields,
    )
