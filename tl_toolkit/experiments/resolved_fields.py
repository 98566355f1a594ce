"""What the fields that a recipe leaves open become for its data and weights, and why.

The values are those of a prepared experiment, and the reasons what the fields' own documentation says after "None:".
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from tl_toolkit.catalog import LBFGS, PREPROCESSING, Preprocessing
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.recipe import OF_STEPS

AUTO = "auto"
NOTHING = "–"
NO_STEPS = "a head that is solved for takes no steps (strategy option solver)"


@dataclasses.dataclass(frozen=True)
class ResolvedField:
    """A field of a recipe, or an option of its strategy, that was left open.

    Attributes:
        name: Of the field.
        value: What it becomes, in words; a dash where it stays off.
        reason: By what rule.
    """

    name: str
    value: str
    reason: str


def resolved_fields(experiment: Experiment, devices: str = "") -> tuple[ResolvedField, ...]:
    """Returns every field that the experiment's recipe leaves open, in the recipe's order, the strategy's options first.

    Open is what is None, and what is `"auto"`.

    Args:
        experiment: From `prepare`.
        devices: What the training would run on, in words.
    """
    recipe = experiment.recipe
    values = _values(experiment) | {"devices": devices or None}
    found = []
    owners: tuple[Any, ...] = (recipe.strategy, recipe)
    for owner in owners:
        reasons = reasons_of(type(owner).__doc__ or "")
        for field in dataclasses.fields(owner):
            if getattr(owner, field.name) not in (None, AUTO):
                continue
            reason = reasons.get(field.name, "")
            value = values.get(field.name)
            if owner is recipe and field.name in OF_STEPS and recipe.solver == LBFGS:
                value, reason = None, NO_STEPS
            words = NOTHING if value is None else _in_words(value)
            found.append(ResolvedField(field.name, words, reason))
    return tuple(found)


def reasons_of(documentation: str) -> dict[str, str]:
    """Returns what a docstring's attributes say of None or `"auto"`, by name."""
    attributes = documentation.partition("Attributes:\n")[2]
    # An attribute starts eight spaces in, and what belongs to it further in.
    found = {}
    for text in re.split(r"\n? {8}(?=\w+: )", attributes):
        name, _, words = text.partition(": ")
        sentence = re.search(r"(?:None: |`\"auto\"`[:,] )(.*)", " ".join(words.split()))
        if sentence:
            found[name.strip()] = sentence[1].rstrip(".")
    return found


def _values(experiment: Experiment) -> dict[str, Any]:
    recipe, dataset, chosen = experiment.recipe, experiment.dataset, experiment.hyperparameters
    preprocessing, positive = experiment.preprocessing, experiment.positive
    validation = 0 if dataset.validation is None else len(dataset.validation)
    stages = experiment.spec.architecture.stages
    return {
        **dataclasses.asdict(experiment.spec.architecture),
        **{
            field.name: getattr(preprocessing, field.name)
            for field in dataclasses.fields(preprocessing)
        },
        **{field.name: getattr(chosen, field.name) for field in dataclasses.fields(chosen)},
        "layer_rates": chosen.layer_rates or None,
        "weights": recipe.start,
        "backbone": experiment.spec.architecture.whole_name,
        "last_stage": stages[-1],
        "trainable_from": stages[-1],
        "preprocessing": _name_of(preprocessing),
        "labels_per_class": "all",
        "validation_fraction": f"{validation} of {len(dataset.train) + validation} images",
        "augmentation": dataset.augmentation,
        "precision": experiment.precision,
        "solver": recipe.solver,
        "positive_class": None if positive is None else dataset.class_names[positive],
    }


def _name_of(preprocessing: Preprocessing) -> str:
    """Returns which of the named ones has the same arithmetic on pixels."""

    def arithmetic(record: Preprocessing) -> tuple:
        return record.channel_order, record.scale, record.mean, record.std

    same = [
        name
        for name, known in PREPROCESSING.items()
        if arithmetic(known) == arithmetic(preprocessing)
    ]
    return same[0] if same else "of its own"


def _in_words(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
