"""Cuts a model in two: a frozen part, whose output is computed once, and the part that is trained."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Sequence
from typing import Any

import keras

from tl_toolkit.models.deep_graph import recursion_room
from tl_toolkit.models.describe import block_of
from tl_toolkit.models.fold import inputs_of
from tl_toolkit.models.head import BLOCK_FEATURES
from tl_toolkit.models.resnet import logits_dtype


@dataclasses.dataclass(frozen=True)
class Cut:
    """The two parts of a model, made of its own layers; composed, they compute the same numbers.

    Attributes:
        layer: The last layer of the frozen part.
        frozen: From images to activations.
        trained: From activations to logits.
        is_joined: Whether activations are a row of numbers an image: those of the layer, height x width x channels, and,
            for a head that sees all blocks, the averages and maxima of the blocks up to it, which go around what is trained.
    """

    layer: str
    frozen: keras.Model
    trained: keras.Model
    is_joined: bool = False


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
        activations, around = model.get_layer(layer).output, _around(model, layer)
        with recursion_room(len(model.layers)):
            found, start, logits = activations, activations, model.output
            if around:
                found, start, logits = _joined(activations, around, model.output)
            cuts[layer] = Cut(
                layer,
                frozen=keras.Model(model.input, found, name=f"{model.name}_frozen"),
                trained=keras.Model(start, logits, name=f"{model.name}_trained"),
                is_joined=bool(around),
            )
    return cuts[layer]


class _TakeApart(keras.layers.Layer):
    """Takes a joined row apart again.

    Input: float[batch, height x width x channels + all of `widths`], of square activations.
    Output: a list of float[batch, height, width, channels], and of float[batch, width] for each width.
    """

    def __init__(self, channels: int, widths: Sequence[int], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.channels, self.widths = channels, tuple(widths)

    def call(self, rows: Any) -> Any:
        starts = [-sum(self.widths[index:]) for index in range(len(self.widths))]
        ends = [*starts[1:], None]
        around = [rows[:, start:end] for start, end in zip(starts, ends, strict=True)]
        places = keras.ops.shape(rows)[-1] - sum(self.widths)
        side = keras.ops.round(keras.ops.sqrt(keras.ops.cast(places // self.channels, "float32")))
        side = keras.ops.cast(side, "int32")
        shape = (-1, side, side, self.channels)
        return [keras.ops.reshape(rows[:, : starts[0]], shape), *around]

    def compute_output_spec(self, rows: Any) -> Any:
        shapes = [(None, None, None, self.channels), *((None, width) for width in self.widths)]
        return [keras.KerasTensor(shape, dtype=self.compute_dtype) for shape in shapes]


def _around(model: keras.Model, layer: str) -> list[keras.KerasTensor]:
    """Returns what a head on all blocks reads of the blocks up to a layer: two tensors a block; of other heads nothing."""
    names = [layer.name for layer in model.layers]
    last = block_of(layer)
    if last is None or BLOCK_FEATURES not in names:
        return []
    blocks = list(dict.fromkeys(filter(None, map(block_of, names))))
    pooled = inputs_of(model.get_layer(BLOCK_FEATURES))
    return list(pooled[: 2 * (blocks.index(last) + 1)])


def _joined(
    activations: keras.KerasTensor, around: list[keras.KerasTensor], logits: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Returns activations and what goes around them as one row an image, another such row, and the logits that it gives."""
    flat = keras.layers.Flatten(name="flat_activations")(activations)
    rows = keras.layers.Concatenate(dtype=logits_dtype(), name="joined")([flat, *around])
    behind = keras.Model([activations, *around], logits, name="behind_the_cut")
    start = keras.Input((None,), dtype=logits_dtype(), name="rows")
    widths = [tensor.shape[-1] for tensor in around]
    apart = _TakeApart(activations.shape[-1], widths, dtype=logits_dtype(), name="taken_apart")
    return rows, start, behind(apart(start))
