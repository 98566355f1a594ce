"""Cuts a model in two: a frozen part, whose output is computed once, and the part that is trained."""

from __future__ import annotations

import dataclasses
import weakref

import keras

from tl_toolkit.models.deep_graph import recursion_room
from tl_toolkit.models.describe import block_of


@dataclasses.dataclass(frozen=True)
class Cut:
    """The two parts of a model, made of its own layers; composed, they compute the same numbers.

    Attributes:
        layer: The last layer of the frozen part.
        frozen: From images to activations.
        trained: From activations to logits.
    """

    layer: str
    frozen: keras.Model
    trained: keras.Model


_CUTS: weakref.WeakKeyDictionary[keras.Model, dict[str, Cut]] = weakref.WeakKeyDictionary()


def find_cut(model: keras.Model, still: set[str]) -> str | None:
    """Finds the last layer of the part that training does not change; it ends a block.

    Args:
        model: From `assemble_classifier`.
        still: Paths of the variables that training does not change: frozen weights and fixed statistics.

    Returns:
        The layer's name; None if the first layer with variables changes already: its weights are trained, or it
        is random and holds state, such as a dropout's seed.
    """
    layers = model.layers
    moving = [
        i for i, layer in enumerate(layers) if any(v.path not in still for v in layer.variables)
    ]
    before = layers[: moving[0]]
    if not any(layer.variables for layer in before):
        return None
    block = block_of(layers[moving[0]].name)
    while block is not None and block_of(before[-1].name) == block:
        before.pop()
    return before[-1].name


def cut_model(model: keras.Model, layer: str) -> Cut:
    """Cuts a model after the layer of that name; the same cut of a model is made only once.

    With each cut, Keras adds another copy of the graph behind it to the model's layers, and never drops one.
    """
    cuts = _CUTS.setdefault(model, {})
    if layer not in cuts:
        activations = model.get_layer(layer).output
        with recursion_room(len(model.layers)):
            cuts[layer] = Cut(
                layer,
                frozen=keras.Model(model.input, activations, name=f"{model.name}_frozen"),
                trained=keras.Model(activations, model.output, name=f"{model.name}_trained"),
            )
    return cuts[layer]
