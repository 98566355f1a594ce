"""How far a training step moves each variable: rates by layer, decay, and what is held back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras

from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.models.describe import block_of
from tl_toolkit.models.head import new_head
from tl_toolkit.transfer.defaults import Hyperparameters
from tl_toolkit.transfer.plan import stage_of

HEAD = "head"


@dataclasses.dataclass(frozen=True)
class Update:
    """How the optimizer changes one variable.

    Attributes:
        group: Its block, such as `"conv3_block1"`, or `"stem"` or `"head"`.
        rate: Of the learning rate.
        first_step: In the optimizer's steps before it, counted from 0, the variable stays as it is.
        weight_decay: Strength of the decay towards 0.
        l2_sp: Strength of the decay towards the value that it had before the first step.
    """

    group: str
    rate: float = 1.0
    first_step: int = 0
    weight_decay: float = 0.0
    l2_sp: float = 0.0

    @property
    def stage(self) -> str:
        """The stage that the group belongs to, such as `"conv3"`."""
        return _stage(self.group)

    @property
    def is_usual(self) -> bool:
        """Whether an optimizer that treats all variables alike does the same."""
        return self.rate == 1 and not self.first_step and not self.l2_sp


def plan_updates(model: keras.Model, hyperparameters: Hyperparameters) -> dict[str, Update]:
    """Returns how each trained variable is changed, by its path: all are named, each once.

    Weight decay leaves batch normalisation and biases alone (He et al. 2019, "Bag of Tricks", section 3.1), and
    so does L2-SP, as in the code that Li et al. 2018, "Explicit Inductive Bias for Transfer Learning with
    Convolutional Networks", published with the paper. The new head has no weights to be held to: it decays to 0.

    Layer decay multiplies a rate once for each block between a variable and the head, the stem counting as one
    (Clark et al. 2020, "ELECTRA"; Bao et al. 2022, "BEiT"). timm counts a ResNet's layers alike.

    Args:
        model: From `assemble_classifier`, set up by `apply_plan`.
        hyperparameters: Of the training.

    Raises:
        InputError: A rate names nothing that is trained, or the training ends before all stages joined it.
    """
    head = new_head(model)
    updates: dict[str, Update] = {}
    for layer in model.layers:
        for variable in layer.trainable_variables:
            if variable.path in updates:
                raise RuntimeError(f"Two trained variables are called {variable.path!r}.")
            decays = not isinstance(layer, BatchNormalization) and variable.name != "bias"
            is_held = decays and bool(hyperparameters.l2_sp) and layer is not head
            updates[variable.path] = Update(
                group=block_of(layer.name) or stage_of(layer.name),
                weight_decay=hyperparameters.weight_decay if decays and not is_held else 0.0,
                l2_sp=(hyperparameters.l2_sp or 0.0) if is_held else 0.0,
            )
    missing = {variable.path for variable in model.trainable_variables} ^ set(updates)
    if missing:
        raise RuntimeError(f"Not every trained variable is updated once: {sorted(missing)}.")
    groups = list(dict.fromkeys(update.group for update in updates.values()))
    blocks = list(dict.fromkeys(block for layer in model.layers if (block := block_of(layer.name))))
    rates = _rates(groups, blocks, hyperparameters)
    first_steps = _first_steps(groups, hyperparameters)
    return {
        path: dataclasses.replace(
            update, rate=rates[update.group], first_step=first_steps[update.group]
        )
        for path, update in updates.items()
    }


def rates_by_stage(updates: Mapping[str, Update]) -> dict[str, tuple[float, float]]:
    """Returns the lowest and the highest rate of each stage, from the stem to the head."""
    rates: dict[str, list[float]] = {}
    for update in updates.values():
        rates.setdefault(update.stage, []).append(update.rate)
    return {stage: (min(found), max(found)) for stage, found in rates.items()}


def _rates(
    groups: list[str], blocks: list[str], hyperparameters: Hyperparameters
) -> dict[str, float]:
    named = dict(hyperparameters.layer_rates)
    known = {*groups, *map(_stage, groups)}
    for name in named:
        if name not in known:
            raise unknown_name("trained stage or block in `layer_rates`:", name, known)
    decay = 1.0 if hyperparameters.layer_decay is None else hyperparameters.layer_decay
    from_head = {name: depth for depth, name in enumerate([HEAD, *reversed(blocks), "stem"])}
    return {
        group: named.get(group, named.get(_stage(group), decay ** from_head[group]))
        for group in groups
    }


def _first_steps(groups: list[str], hyperparameters: Hyperparameters) -> dict[str, int]:
    epochs = hyperparameters.unfreeze_epochs
    if epochs is None:
        return dict.fromkeys(groups, 0)
    stages = list(dict.fromkeys(_stage(group) for group in reversed(groups)))
    last = (len(stages) - 1) * epochs
    if last >= hyperparameters.epochs:
        raise InputError(
            f"With unfreeze_epochs={epochs} the stage {stages[-1]!r} would join the training after {last} epochs, and it "
            f"has {hyperparameters.epochs}: give it more `epochs`, or a smaller `unfreeze_epochs`."
        )
    return {
        group: stages.index(_stage(group)) * epochs * hyperparameters.steps_per_epoch
        for group in groups
    }


def _stage(group: str) -> str:
    return group.partition("_")[0]
