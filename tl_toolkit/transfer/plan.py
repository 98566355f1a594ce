"""The freeze plan: what training does to every variable of a model, as a contract that is checked."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import keras
import tensorflow as tf

from tl_toolkit.catalog import ADAPT
from tl_toolkit.catalog import FROZEN as FROZEN_MODE
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.models.describe import block_of
from tl_toolkit.models.head import BLOCK_FEATURES, HEADS, MEAN_OF_VIEWS, new_head
from tl_toolkit.strategies import LastLayers, NewHead, Strategy
from tl_toolkit.transfer.cut import find_cut

TRAINED = "trained"
FROZEN = "frozen"
UPDATED = "updated statistics"
FIXED = "fixed statistics"
STATE = "state"
UNCHANGED = (FROZEN, FIXED)


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """What the plan does to one stage: the stem, one of conv2, conv3, …, or the head.

    Attributes:
        stage: Its name.
        trained: Number of trained parameters.
        frozen: Number of frozen parameters.
        bn_modes: Modes of its batch normalisations; several if only part of the stage is trained.
    """

    stage: str
    trained: int
    frozen: int
    bn_modes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class FreezePlan:
    """Names every variable of a model exactly once.

    Attributes:
        roles: By variable path: `"trained"`, `"frozen"`, `"updated statistics"`,
            `"fixed statistics"` or `"state"` (seeds and counters).
        bn_modes: By batch normalisation layer.
        stages: Totals by stage.
        cut: The last layer of the part that can be computed once; None if there is no such part.
    """

    roles: dict[str, str]
    bn_modes: dict[str, str]
    stages: tuple[StagePlan, ...]
    cut: str | None = None

    def paths(self, *roles: str) -> list[str]:
        """Returns the paths of the variables with one of those roles."""
        return [path for path, role in self.roles.items() if role in roles]

    @property
    def trained_parameters(self) -> int:
        """Number of parameters that gradients change."""
        return sum(stage.trained for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """Returns the plan as plain JSON values."""
        return dataclasses.asdict(self)


def make_plan(model: keras.Model, strategy: Strategy, bn_mode: str) -> FreezePlan:
    """Decides the role of every variable of an assembled classifier.

    Args:
        model: From `assemble_classifier`; it is not changed.
        strategy: What is trained.
        bn_mode: Mode of the batch normalisations in the trained part; those before it are frozen.

    Raises:
        InputError: `trainable_from` is not a block or stage of the model.
    """
    trained_layers = _trained_layers(model, strategy)
    roles: dict[str, str] = {}
    bn_modes: dict[str, str] = {}
    stages: dict[str, StagePlan] = {}
    for layer in model.layers:
        trained = layer.name in trained_layers
        if isinstance(layer, BatchNormalization):
            bn_modes[layer.name] = bn_mode if trained else FROZEN_MODE
        layer_roles = {
            variable.path: _role(layer, variable, trained, bn_modes.get(layer.name))
            for variable in layer.variables
        }
        roles.update(layer_roles)
        stage = stages.get(stage_of(layer.name), StagePlan(stage_of(layer.name), 0, 0, ()))
        sizes = {v.path: v.value.shape.num_elements() for v in layer.variables}
        modes = {*stage.bn_modes, *([bn_modes[layer.name]] if layer.name in bn_modes else [])}
        stages[stage.stage] = StagePlan(
            stage.stage,
            stage.trained + sum(sizes[p] for p, role in layer_roles.items() if role == TRAINED),
            stage.frozen + sum(sizes[p] for p, role in layer_roles.items() if role == FROZEN),
            tuple(sorted(modes)),
        )
    missing = {variable.path for variable in model.variables} ^ set(roles)
    if missing or len(roles) != len(model.variables):
        raise RuntimeError(f"The plan does not name each variable exactly once: {sorted(missing)}.")
    still = {path for path, role in roles.items() if role in UNCHANGED}
    stages_with_weights = tuple(s for s in stages.values() if s.trained or s.frozen)
    return FreezePlan(roles, bn_modes, stages_with_weights, find_cut(model, still))


def apply_plan(model: keras.Model, plan: FreezePlan, bn_momentum: float | None = None) -> None:
    """Sets up the layers as planned, and checks that Keras then trains exactly what the plan says.

    In the scope of a `tf.distribute` strategy with several replicas, batch statistics are synchronised.

    Args:
        model: The model that the plan was made for.
        plan: From `make_plan`.
        bn_momentum: Momentum of the moving averages that are updated; None: unchanged.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    model.trainable = True
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            layer.mode = plan.bn_modes[layer.name]
            layer.synchronized = replicas > 1  # else the replicas' moving averages drift apart
            if layer.mode == ADAPT and bn_momentum is not None:
                layer.momentum = bn_momentum
        else:
            layer.trainable = any(plan.roles[v.path] == TRAINED for v in layer.variables)
    trained = {variable.path for variable in model.trainable_variables}
    if trained != set(plan.paths(TRAINED)):
        difference = sorted(trained ^ set(plan.paths(TRAINED)))
        raise RuntimeError(f"Keras and the plan differ on what is trained: {difference}.")


def fingerprints(model: keras.Model, plan: FreezePlan) -> dict[str, bytes]:
    """Returns a digest of every variable that the plan says will not change."""
    unchanged = set(plan.paths(*UNCHANGED))
    return {
        variable.path: hashlib.blake2b(variable.numpy().tobytes(), digest_size=16).digest()
        for variable in model.variables
        if variable.path in unchanged
    }


def verify_plan(model: keras.Model, plan: FreezePlan, before: dict[str, bytes]) -> int:
    """Checks, bit by bit, that everything that the plan calls frozen or fixed is unchanged.

    Args:
        model: After training.
        plan: The plan it was trained by.
        before: `fingerprints` from before training.

    Returns:
        How many variables were compared.

    Raises:
        RuntimeError: A variable changed; the message names it.
    """
    after = fingerprints(model, plan)
    changed = [path for path in before if after[path] != before[path]]
    if changed:
        raise RuntimeError(
            f"{len(changed)} variables changed in training that the plan calls frozen or fixed: "
            f"{', '.join(changed[:8])}. The result is not what the plan promised and is not used."
        )
    return len(before)


def _trained_layers(model: keras.Model, strategy: Strategy) -> set[str]:
    names = [layer.name for layer in model.layers]
    if isinstance(strategy, NewHead):
        return {new_head(model).name}
    if not isinstance(strategy, LastLayers):
        return set(names)
    blocks = list(dict.fromkeys(block for block in map(block_of, names) if block))
    start = strategy.trainable_from
    if start is None:
        start = stage_of(blocks[-1])
    first = start if start in blocks else f"{start}_block1"
    if first not in blocks:
        if start in HEADS or start == "head":
            raise InputError(
                f"trainable_from={start!r} is the head alone: use the strategy NewHead."
            )
        raise unknown_name(
            "trainable_from", start, [*blocks, *dict.fromkeys(map(stage_of, blocks))]
        )
    frozen = {"stem", *blocks[: blocks.index(first)]}
    return {name for name in names if (block_of(name) or stage_of(name)) not in frozen}


def stage_of(layer_name: str) -> str:
    """Returns the stage of a layer or block: `"stem"`, `"conv2"`, `"conv3"`, …, or `"head"`."""
    block = block_of(layer_name + "_")
    if block:
        return block.partition("_")[0]
    return "head" if layer_name in (*HEADS, "avg_pool", BLOCK_FEATURES, MEAN_OF_VIEWS) else "stem"


def _role(layer: keras.Layer, variable: keras.Variable, trained: bool, bn_mode: str | None) -> str:
    if not any(variable is weight for weight in layer.weights):
        return STATE
    if bn_mode is not None:
        if variable is layer.moving_mean or variable is layer.moving_variance:
            return UPDATED if bn_mode == ADAPT else FIXED
        return FROZEN if bn_mode == FROZEN_MODE else TRAINED
    return TRAINED if trained else FROZEN
