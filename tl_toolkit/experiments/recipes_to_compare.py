"""The recipes of a comparison: of different strategies, on the same images, with the same network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tl_toolkit.catalog import ALL_BLOCKS
from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.errors import InputError
from tl_toolkit.recipe import DEFAULT_BACKBONE, Recipe
from tl_toolkit.strategies import (
    Auto,
    FromScratch,
    FullFineTune,
    LastLayers,
    NewHead,
    Strategy,
    keeps_layers_frozen,
    strategy_label,
)
from tl_toolkit.weights.resolve import open_weights

DATA_FIELDS = (
    "data",
    "labels_per_class",
    "test_fraction",
    "validation_fraction",
    "split_seed",
    "on_bad_image",
    "group_near_duplicates",
    "value_range",
)
STRATEGIES: tuple[Strategy, ...] = (
    NewHead(),
    NewHead(on=ALL_BLOCKS),
    LastLayers(),
    FullFineTune(),
    FromScratch(),
)


def comparison_recipes(
    data: str,
    weights: str | None = None,
    strategies: Sequence[Strategy] = STRATEGIES,
    **fields: Any,
) -> list[Recipe]:
    """Returns a recipe a strategy: the transfers start from the weights, from scratch has their network.

    Args:
        data: What `open_dataset` takes.
        weights: As in a recipe.
        strategies: To compare.
        fields: Other fields of the recipes, the same for all.

    Raises:
        InputError: A field is wrong, or the weights do not say which network they are for.

    Examples:
        >>> recipes = tl.comparison_recipes("digits", labels_per_class=5)
        >>> [recipe.strategy.name for recipe in recipes]
        ['new_head', 'new_head', 'last_layers', 'full_fine_tune', 'from_scratch']
        >>> recipes[-1].backbone, recipes[-1].width  # the network of the weights that the others start from
        ('resnet18', 16)
    """
    transfers = [
        Recipe(data=data, strategy=strategy, weights=weights, **fields)
        for strategy in strategies
        if not isinstance(strategy, FromScratch)
    ]
    start = str(transfers[0].start) if transfers else str(weights)
    frozen = bool(transfers) and keeps_layers_frozen(transfers[0].strategy)  # who opens them first
    return [
        Recipe(data=data, strategy=strategy, **{**_same_network(start, frozen, fields), **fields})
        if isinstance(strategy, FromScratch)
        else transfers.pop(0)
        for strategy in strategies
    ]


def check_recipes(recipes: Sequence[Recipe], seeds: int) -> None:
    """Raises `InputError` for recipes that cannot be compared."""
    few_shot = recipes[0].labels_per_class is not None
    if seeds < 1 or (few_shot and seeds < 2):
        raise InputError(
            f"`seeds` must be at least 1, and at least 2 with labels_per_class, where the images of the other "
            f"seeds choose between the strategies. Received: {seeds}"
        )
    if any(isinstance(recipe.strategy, Auto) for recipe in recipes):
        raise InputError(
            "A comparison takes the strategies that 'auto' chooses between, and not 'auto' itself."
        )
    names = [strategy_label(recipe.strategy) for recipe in recipes]
    if len(set(names)) < len(names):
        raise InputError(
            "The recipes must be of different strategies, or of one with different options. Received: "
            f"{'; '.join(names)}"
        )
    for field in DATA_FIELDS:
        values = {getattr(recipe, field) for recipe in recipes}
        if len(values) > 1:
            raise InputError(
                f"The recipes must be on the same images, but differ in `{field}`: {sorted(map(str, values))}"
            )


def check_can_choose(dataset: ImageDataset) -> None:
    """Raises `InputError` where a photo may have several labels and there are no validation images."""
    if dataset.has_several_labels and dataset.validation is None:
        raise InputError(
            "The best strategy for photos with several labels is chosen by validation images, and there are no validation images: "
            "set validation_fraction to more than 0, or leave it out."
        )


def _same_network(weights: str, frozen: bool, fields: dict[str, Any]) -> dict[str, Any]:
    spec = open_weights(weights, fields.get("backbone") or DEFAULT_BACKBONE, frozen=frozen).spec
    if spec is None:
        raise InputError(
            f"The weights {weights!r} do not say which network they are for, so there is nothing to train "
            "from scratch in comparison. Give a catalogue name or a finished run's folder."
        )
    network = spec.architecture
    return {
        "backbone": network.whole_name,
        "last_stage": network.stages[-1] if network.name != network.whole_name else None,
        "variant": network.variant,
        "width": network.width,
        "stem": network.stem,
        "bn_epsilon": network.bn_epsilon,
        "image_size": spec.preprocessing.image_size if spec.preprocessing else None,
    }
