"""Networks that several trainings take in turn, each put back to the weights that it started from."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import keras
import numpy as np

from tl_toolkit.catalog import WeightSpec
from tl_toolkit.recipe import FromScratch, Recipe
from tl_toolkit.weights.pinned import PinnedWeights

# What decides on the network and on the weights that it starts from; all else is training's.
FIELDS = (
    "data",
    "weights",
    "backbone",
    "variant",
    "width",
    "stem",
    "bn_epsilon",
    "preprocessing",
    "image_size",
    "crop_fraction",
    "precision",
    "seed",
)


@dataclasses.dataclass(frozen=True)
class Network:
    """A network with the weights that training starts from.

    Attributes:
        spec: What it is and how it wants its images.
        model: Images to logits.
        weights: What it starts from; None from scratch.
        notes: What the user should know of the weights.
    """

    spec: WeightSpec
    model: keras.Model
    weights: PinnedWeights | None
    notes: tuple[str, ...]


class NetworkPool:
    """Keeps the networks of the last recipes, so that the next training neither builds nor reads one.

    A training that takes a network takes it from the one before: use a pool where a training's model is
    done with when the next one starts, as in a search.

    Args:
        size: Networks that are kept; the least recently used makes way.
    """

    def __init__(self, size: int = 1) -> None:
        self._size = size
        self._kept: collections.OrderedDict[Any, tuple[Network, list[np.ndarray]]] = (
            collections.OrderedDict()
        )

    def take(self, recipe: Recipe, distribute: object) -> Network | None:
        """Returns the recipe's network with its first weights, or None where it is not kept."""
        key = _key(recipe, distribute)
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        network, values = self._kept[key]
        for variable, value in zip(network.model.variables, values, strict=True):
            variable.assign(value)
        return network

    def keep(self, recipe: Recipe, distribute: object, network: Network) -> None:
        """Keeps a network as it is now, before it is trained."""
        values = [variable.numpy() for variable in network.model.variables]
        self._kept[_key(recipe, distribute)] = network, values
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)


def _key(recipe: Recipe, distribute: object) -> tuple:
    # The strategies that start from weights differ in what they train, not in the network.
    head = getattr(recipe.strategy, "on", "features"), isinstance(recipe.strategy, FromScratch)
    return *(getattr(recipe, field) for field in FIELDS), *head, distribute
