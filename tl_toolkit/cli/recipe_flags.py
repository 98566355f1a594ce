"""A recipe on the command line: one flag per field."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Annotated, Any

from tl_toolkit.cli.maybe import hint
from tl_toolkit.errors import InputError
from tl_toolkit.fields import annotations_of, plain_type
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import STRATEGIES, strategy_named

if TYPE_CHECKING:
    from tl_toolkit.weights.pinned import PinnedWeights

STRATEGY_HELP = """        strategy: What is trained: new-head, last-layers, full-fine-tune or from-scratch; or auto, which climbs from a new
            head to full fine-tuning and keeps what is best in validation.
        trainable_from: For last-layers: the first block or stage to train, such as conv4. Default: the network's last stage.
        on: What the new head sits on: features (pooled), logits (the original last layer's output), or all_blocks
            (averages and maxima of every block).
        solver: For new-head: lbfgs solves for it exactly, gradient trains it by steps. Default: lbfgs, unless flags
            such as --epochs ask for steps.
        tta: For new-head: flips averages the features over four mirror images, in training and use; or none.
        bn_mode: Mode of the trained layers' batch normalisation: adapt, affine or frozen. Default: by strategy.
        head_first: For last-layers and full-fine-tune: solve for the new head before anything else is trained.
        minutes: For auto: time for all trainings; what does not fit in is trained for fewer epochs, or left out.
            Default: no limit.
"""
STRATEGY_FIELDS: dict[str, type] = {
    "strategy": str,
    "trainable_from": str,
    "on": str,
    "solver": str,
    "tta": str,
    "bn_mode": str,
    "head_first": bool,
    "minutes": float,
}


RATES = "layer_rates"
OF_SEVERAL: dict[str, Any] = {RATES: tuple[str, ...], "value_range": tuple[float, float]}


def _recipe_flags() -> type:
    """One optional flag per field of `Recipe`, with the strategy and its options as plain words."""
    fields: list[Any] = [
        (name, Annotated[kind | None, hint(None)], None)
        for name, kind in {"data": str, **STRATEGY_FIELDS}.items()
    ]
    hints = annotations_of(Recipe)
    for field in dataclasses.fields(Recipe):
        if field.name not in ("data", "strategy"):
            kind = OF_SEVERAL.get(field.name) or plain_type(hints[field.name])
            flag = Annotated[kind | None, hint(field.default)]  # type: ignore[valid-type]
            fields.append((field.name, flag, None))
    flags = dataclasses.make_dataclass("RecipeFlags", fields, frozen=True)
    attributes = (Recipe.__doc__ or "").partition("Attributes:\n")[2]
    kept = [line for line in attributes.splitlines() if "strategy: What is trained." not in line]
    flags.__doc__ = "Flags.\n\n    Attributes:\n" + STRATEGY_HELP + "\n".join(kept)
    return flags


RecipeFlags: Any = _recipe_flags()


def recipe_from(flags: Any, path: pathlib.Path | None) -> Recipe:
    """Returns the recipe of a file, if one is given, with the given flags in place of its fields.

    Raises:
        InputError: A field is wrong, or neither flags nor file name a strategy and images.
    """
    given = {f.name: getattr(flags, f.name) for f in dataclasses.fields(flags)}
    given = {name: value for name, value in given.items() if value is not None}
    values = Recipe.load(path).to_json() if path is not None else {}
    if RATES in given:
        given[RATES] = parse_rates(given[RATES])
    options = {
        name: given.pop(name) for name in STRATEGY_FIELDS if name in given and name != "strategy"
    }
    before = values.get("strategy", {})
    name = given.pop("strategy", before.get("name"))
    if name is None:
        raise InputError(f"Name a strategy with --strategy: {', '.join(STRATEGIES)}.")
    if before.get("name") == strategy_named(name).name:
        options = {**{k: v for k, v in before.items() if k != "name"}, **options}
    strategy = strategy_named(name, **options)
    values |= given
    values["strategy"] = {"name": strategy.name, **dataclasses.asdict(strategy)}
    if "data" not in values:
        raise InputError("Name the images with --data, such as --data folder:photos.")
    return Recipe.from_json(values)


def parse_rates(texts: tuple[str, ...]) -> list[tuple[str, float]]:
    """Parses texts such as `conv2=0.1`.

    Raises:
        InputError: A text does not have that form.
    """
    rates = []
    for text in texts:
        name, _, number = text.partition("=")
        try:
            rates.append((name.strip(), float(number)))
        except ValueError as error:
            raise InputError(
                f"A rate of --layer-rates must have the form NAME=NUMBER, such as conv2=0.1. Received: {text!r}"
            ) from error
    return rates


def pin_of(recipe: Recipe, path: pathlib.Path | None) -> PinnedWeights | None:
    """Returns which weights the run of a recipe file used, if it recorded them next to the file.

    A flag that names other weights takes precedence.
    """
    from tl_toolkit.experiments.pin_file import read_pin

    pin = read_pin(path) if path is not None else None
    return pin if pin is not None and pin.asked == recipe.start else None
