"""The rungs that strategy `"auto"` climbs, and what each takes over from the best one before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_toolkit.catalog import (
    ADAPT,
    AFFINE,
    ALL_BLOCKS,
    CROP,
    FEATURES,
    FLIPS,
    LBFGS,
    LETTERBOX,
    augmentation_named,
)
from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.experiments.selection import Selection
from tl_toolkit.recipe import OF_STEPS, Recipe
from tl_toolkit.strategies import FullFineTune, LastLayers, NewHead, Strategy
from tl_toolkit.transfer.defaults import choose_hyperparameters
from tl_toolkit.transfer.updates import HEAD

HEAD_ALONE, ON_ALL_BLOCKS = "new head", "new head on all blocks"
LETTERBOXED, MIRRORED = f"{ON_ALL_BLOCKS}, letterboxed", f"{ON_ALL_BLOCKS}, mirrored"
SHORTER = f"{ON_ALL_BLOCKS}, without the last stage"
LAST_LAYERS, EVERYTHING, ADAPTING = FINE_TUNED = (
    "last layers",
    "everything",
    "everything, adapting",
)
# What takes about as long as another, or less.
ALIKE = {LETTERBOXED: ON_ALL_BLOCKS, SHORTER: ON_ALL_BLOCKS, ADAPTING: EVERYTHING}
FEWEST_STAGES = 3  # of a network whose last one can be spared


def rung_recipes(
    recipe: Recipe,
    dataset: ImageDataset,
    stages: Sequence[str],
    is_much_cut_off: bool = False,
) -> dict[str, Recipe]:
    """Returns the recipe of each rung by its name, the cheapest first.

    Args:
        recipe: Its strategy is `Auto`.
        dataset: What it is trained on.
        stages: Of the network, such as `("conv2", "conv3", "conv4", "conv5")`.
        is_much_cut_off: Nobody chose that photos are cut to a square, and many lose much: there is a rung that keeps all of
            them, and the rungs after it take the way of the best one before them.
    """
    solved = dict.fromkeys(OF_STEPS)
    augmentation = augmentation_named(recipe.augmentation or dataset.augmentation)
    if is_much_cut_off:
        recipe = recipe.replace(resize=CROP)

    def probe(**options: Any) -> Recipe:
        return recipe.replace(strategy=NewHead(solver=LBFGS, **options), **solved)

    def trained(strategy: Strategy) -> Recipe:
        return recipe.replace(strategy=strategy)

    rungs = {HEAD_ALONE: probe(), ON_ALL_BLOCKS: probe(on=ALL_BLOCKS)}
    if is_much_cut_off:
        rungs[LETTERBOXED] = probe(on=ALL_BLOCKS).replace(resize=LETTERBOX)
    rates = dict(recipe.layer_rates or ())
    has_a_rate = any(name.partition("_")[0] == stages[-1] for name in rates)
    if recipe.last_stage is None and len(stages) >= FEWEST_STAGES and not has_a_rate:
        rungs[SHORTER] = probe(on=ALL_BLOCKS).replace(last_stage=stages[-2])
    if augmentation is not None and augmentation.flip:  # there is no up
        rungs[MIRRORED] = probe(on=ALL_BLOCKS, tta=FLIPS)
    if recipe.find is not None and dataset.validation is None:
        return rungs  # a threshold can be chosen out of fold, which only heads that are solved for have
    last = LastLayers(on=ALL_BLOCKS, head_first=True)
    rungs[LAST_LAYERS] = trained(last).replace(layer_rates=_rates_within(recipe, stages[-1]))
    rungs[EVERYTHING] = trained(FullFineTune(on=ALL_BLOCKS, head_first=True, bn_mode=AFFINE))
    adapting = trained(FullFineTune(on=ALL_BLOCKS, head_first=True))
    if choose_hyperparameters(adapting, _fewest_images(recipe, dataset)).bn_mode == ADAPT:
        rungs[ADAPTING] = adapting
    return rungs


def from_the_best(name: str, recipe: Recipe, best: Recipe) -> Recipe:
    """Has a rung take over what did best before it: how photos become square, where the network ends, and the head to start from.

    Args:
        name: Of the rung.
        recipe: Of the rung, as `rung_recipes` has it.
        best: Of the rungs before it.
    """
    if name in (ON_ALL_BLOCKS, LETTERBOXED):
        return recipe
    recipe = recipe.replace(resize=best.resize)
    if name in (MIRRORED, EVERYTHING, ADAPTING):  # last layers are of the whole network
        recipe = recipe.replace(last_stage=best.last_stage)
    if name in FINE_TUNED:
        on = getattr(best.strategy, "on", FEATURES)
        recipe = recipe.replace(strategy=dataclasses.replace(recipe.strategy, on=on))
    return recipe


def _fewest_images(recipe: Recipe, dataset: ImageDataset) -> int:
    """Of the trainings that compare rungs, how many images the smallest learns from."""
    folds = Selection.of(recipe, dataset).folds
    left_out = 0 if folds is None else int(np.bincount(folds).max())
    return len(dataset.train) - left_out


def _rates_within(recipe: Recipe, last_stage: str) -> dict[str, float] | None:
    """The rates of layers from the last stage on; what names none at all, training everything refuses."""
    rates = {
        name: rate
        for name, rate in dict(recipe.layer_rates or ()).items()
        if name.partition("_")[0] in (last_stage, HEAD)
    }
    return rates or None
