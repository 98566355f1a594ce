"""Networks that several trainings take in turn, each put back to the weights that it starts from."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import keras
import numpy as np

from tl_toolkit.catalog import FEATURES, NO_VIEWS, WeightSpec
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import FromScratch
from tl_toolkit.weights.pinned import PinnedWeights
from tl_toolkit.weights.resolve import WeightSource

# What decides on the network and on the weights that it starts from; all else is training's. The seed does too
# where there are no weights: a new head on weights starts at zero.
FIELDS = (
    "data",
    "weights",
    "backbone",
    "variant",
    "width",
    "stem",
    "bn_epsilon",
    "last_stage",
    "preprocessing",
    "image_size",
    "crop_fraction",
    "resize",
    "value_range",
    "precision",
)

Made = TypeVar("Made")


class TracedFunctions:
    """Functions that were traced for a network, shared by the trainings that take it in turn.

    Args:
        size: Functions that are kept: a training's own. A search would else keep the graph of every trial.
    """

    def __init__(self, size: int = 3) -> None:
        self._size = size
        self._made: collections.OrderedDict[Hashable, Any] = collections.OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Returns what `make` gave when it was first called with that key."""
        if key not in self._made:
            self._made[key] = make()
        self._made.move_to_end(key)
        while len(self._made) > self._size:
            self._made.popitem(last=False)
        return self._made[key]


@dataclasses.dataclass(frozen=True)
class Network:
    """A network with the weights that training starts from.

    Attributes:
        spec: What it is and how its images are prepared.
        model: Images to logits.
        weights: What it starts from; None from scratch.
        notes: What the user should know of the weights.
        traced: Functions that were traced for the model.
    """

    spec: WeightSpec
    model: keras.Model
    weights: PinnedWeights | None
    notes: tuple[str, ...]
    traced: TracedFunctions = dataclasses.field(default_factory=TracedFunctions)


class NetworkPool:
    """Keeps the networks of the last recipes, so that the next training neither builds, loads nor traces one.

    A training that takes a network takes it from the one before: use a pool only if a training's model is no
    longer needed when the next one starts, or if `weights_of` it were kept.

    Args:
        size: Networks that are kept; the least recently used one makes room.
    """

    def __init__(self, size: int = 1) -> None:
        self._size = size
        self._weights: dict[Hashable, WeightSource | None] = {}
        self._kept: collections.OrderedDict[Hashable, tuple[Network, int, list[np.ndarray]]] = (
            collections.OrderedDict()
        )

    def weights(
        self,
        recipe: Recipe,
        pin: PinnedWeights | None,
        open_them: Callable[[], WeightSource | None],
    ) -> WeightSource | None:
        """Returns what the recipe starts from: what the first training that named it found, whose strategy may prefer others."""
        key = recipe.start, recipe.backbone, pin
        if key not in self._weights:
            self._weights[key] = open_them()
        return self._weights[key]

    def take(
        self,
        recipe: Recipe,
        pin: PinnedWeights | None,
        distribute: object,
        build: Callable[[], Network],
    ) -> Network:
        """Returns the recipe's network with its first weights.

        Args:
            recipe: Of the training.
            pin: What its weights have to be; None: whatever they stand for.
            distribute: The `tf.distribute` strategy that it was built under.
            build: Builds it; called if it is not kept, or for another seed's random weights.
        """
        key = _key(recipe, pin, distribute)
        if key not in self._kept:
            network = build()
            self._kept[key] = network, recipe.seed, weights_of(network.model)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
            return network
        self._kept.move_to_end(key)
        network, seed, first_weights = self._kept[key]
        if recipe.start is None and recipe.seed != seed:
            first_weights = weights_of(build().model)
        assign_weights(network.model, first_weights)
        return network


def weights_of(model: keras.Model) -> list[np.ndarray]:
    """Returns the values of all variables of a model, state included, for `assign_weights`."""
    return [variable.numpy() for variable in model.variables]


def assign_weights(model: keras.Model, values: list[np.ndarray]) -> None:
    """Gives a model the values that `weights_of` returned."""
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)


def _key(recipe: Recipe, pin: PinnedWeights | None, distribute: object) -> Hashable:
    # The strategies that start from weights differ in what they train, not in the network.
    options = getattr(recipe.strategy, "on", FEATURES), getattr(recipe.strategy, "tta", NO_VIEWS)
    head = *options, isinstance(recipe.strategy, FromScratch)
    return *(getattr(recipe, field) for field in FIELDS), *head, pin, distribute
