"""What a search varies: axes by name, and the recipe of each point in the space."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner

from tl_toolkit.catalog import LBFGS, augmentation_named
from tl_toolkit.devices.replicas import check_batch_size
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import Auto, Strategy, strategy_named
from tl_toolkit.transfer.defaults import DEFAULTS, default_learning_rate, scaled_learning_rate

SMALLEST_BATCH, LARGEST_BATCH = 8, 256
LEARNING_RATE_FACTOR = 10  # default range: the strategy's rate divided and multiplied by this
CONTINUOUS = ("learning_rate", "weight_decay")
OPTION_OF_STRATEGY = ("on", "tta", "trainable_from", "bn_mode")
KEPT = (
    "on",
    "head_first",
)  # options that the others of a search take over where the recipe's strategy has not its default
AXES = (
    "strategy",
    *OPTION_OF_STRATEGY,
    "batch_size",
    *CONTINUOUS,
    "augmentation",
    "last_stage",
    "resize",
    "views",
    "epochs",
    "label_smoothing",
)

Axis = Sequence[Any] | tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Space:
    """The axes of a search, checked.

    Attributes:
        recipe: Gives every value that no axis gives.
        choices: Values by axis.
        ranges: Smallest and largest value by axis, searched on a logarithmic scale.
    """

    recipe: Recipe
    choices: dict[str, tuple[Any, ...]]
    ranges: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        lists = {axis: list(values) for axis, values in self.choices.items()}
        return lists | {axis: {"range": list(ends)} for axis, ends in self.ranges.items()}

    def declare(self, hp: keras_tuner.HyperParameters) -> None:
        """Declares every axis, whatever values were drawn so far."""
        if "strategy" in self.choices:
            hp.Choice("strategy", list(self.strategies))
        for axis in AXES[1:]:
            if axis in OPTION_OF_STRATEGY and axis in self.choices:
                with self._for_strategies(hp, self.strategies_with(axis)):
                    hp.Choice(axis, list(self.choices[axis]))
            elif axis in self.choices:
                hp.Choice(axis, list(self.choices[axis]))
            elif axis in self.ranges:
                _declare_range(hp, axis, self.ranges[axis])
            elif axis == "learning_rate" and not self.is_solved:
                for name in self.strategies:
                    with self._for_strategies(hp, [name]):
                        _declare_range(hp, axis, self._default_rates(name))

    def recipe_at(self, values: Mapping[str, Any]) -> Recipe:
        """Returns the recipe of a point.

        Args:
            values: By axis, as drawn; others are left alone. A learning rate is drawn for batches of
                `REFERENCE_BATCH` images, and scaled to the batch size by `scaled_learning_rate`.
        """
        drawn = {axis: values[axis] for axis in AXES if axis in values}
        strategy = self._strategy(drawn.get("strategy", self.recipe.strategy.name))
        options = {axis: drawn.pop(axis) for axis in OPTION_OF_STRATEGY if axis in drawn}
        options = {option: value for option, value in options.items() if hasattr(strategy, option)}
        drawn["strategy"] = dataclasses.replace(strategy, **options)
        recipe = self.recipe.replace(**drawn)
        if "learning_rate" in drawn:
            defaults = DEFAULTS[type(strategy)]
            rate = scaled_learning_rate(
                drawn["learning_rate"],
                recipe.batch_size or defaults.batch_size,
                recipe.optimizer or defaults.optimizer,
            )
            recipe = recipe.replace(learning_rate=float(f"{rate:.4g}"))
        return recipe

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of all axes, including those that only some strategies have."""
        searched = {*self.choices, *self.ranges, *(() if self.is_solved else ("learning_rate",))}
        return tuple(axis for axis in AXES if axis in searched)

    @property
    def is_solved(self) -> bool:
        """Whether every trial solves for a new head: without batches and rates."""
        return getattr(self.recipe.strategy, "solver", None) == LBFGS

    @property
    def strategies(self) -> tuple[str, ...]:
        """Names of the searched strategies."""
        return self.choices.get("strategy", (self.recipe.strategy.name,))

    def strategies_with(self, option: str) -> list[str]:
        """Returns the names of the searched strategies that have an option."""
        return [name for name in self.strategies if hasattr(strategy_named(name), option)]

    def _strategy(self, name: str) -> Strategy:
        """Returns the recipe's own strategy, or another one that takes the options in `KEPT` over from it."""
        own, other = self.recipe.strategy, strategy_named(name)
        if own.name == other.name:
            return own
        usual = {field.name: field.default for field in dataclasses.fields(own)}
        kept = {
            option: getattr(own, option)
            for option in KEPT
            if option in usual and getattr(own, option) != usual[option] and hasattr(other, option)
        }
        return dataclasses.replace(other, **kept)

    def _default_rates(self, name: str) -> tuple[float, float]:
        """Returns the ends of the range about a strategy's default rates, in all modes that are searched."""
        strategy = self._strategy(name)
        modes = self.choices.get("bn_mode", (getattr(strategy, "bn_mode", None),))
        optimizer = self.recipe.optimizer or DEFAULTS[type(strategy)].optimizer
        rates = [default_learning_rate(strategy, mode, optimizer) for mode in modes]
        return min(rates) / LEARNING_RATE_FACTOR, max(rates) * LEARNING_RATE_FACTOR

    def _for_strategies(self, hp: keras_tuner.HyperParameters, names: list[str]) -> Any:
        """Returns the scope in which an axis belongs to these strategies only."""
        if "strategy" in self.choices:
            return hp.conditional_scope("strategy", names)
        return contextlib.nullcontext()


def make_space(
    recipe: Recipe, axes: Mapping[str, Axis] | None, examples: int, replicas: int = 1
) -> Space:
    """Checks the axes of a search, and returns its space.

    Args:
        recipe: Gives every value that no axis gives.
        axes: By name, one of `AXES`: a list of values, or for learning rate and weight decay a tuple of the
            smallest and the largest. `batch_size` and `learning_rate` are always searched, but for heads of
            `solver="lbfgs"`, which have neither; each trial then finds its own L2 penalty by cross-validation.
        examples: Number of training images.
        replicas: Devices that share a batch.

    Raises:
        InputError: An unknown axis, an invalid value, or a batch size that does not suit the data or the replicas.
    """
    strategies = [recipe.strategy.name, *map(str, (axes or {}).get("strategy", ()))]
    if Auto.name in strategies:
        raise InputError(
            "A search varies one training, and 'auto' chooses between trainings: search another strategy."
        )
    if recipe.layer_rates is not None and {"strategy", "trainable_from"} & set(axes or {}):
        raise InputError(
            "`layer_rates` names stages, and along the axes `strategy` and `trainable_from` not the same ones are "
            "trained: leave it or them out, or use `layer_decay`."
        )
    choices: dict[str, tuple[Any, ...]] = {}
    ranges: dict[str, tuple[float, float]] = {}
    for axis, values in (axes or {}).items():
        if axis not in AXES:
            raise unknown_name("axis", axis, AXES)
        if isinstance(values, tuple) and len(values) == 2 and axis in CONTINUOUS:
            ranges[axis] = _checked_range(axis, values)
        elif isinstance(values, (list, tuple)) and values and len(set(values)) == len(values):
            choices[axis] = tuple(values)
        else:
            raise InputError(
                f"The axis `{axis}` must be a list of different values, or for {' and '.join(CONTINUOUS)} "
                f"a tuple of the smallest and the largest. Received: {values!r}"
            )
    if "strategy" in choices:
        choices["strategy"] = tuple(strategy_named(name).name for name in choices["strategy"])
    space = Space(recipe, choices, ranges)
    if space.is_solved:
        _check_of_solved(space)
    else:
        choices.setdefault("batch_size", default_batch_sizes(examples, replicas))
        _check_batch_sizes(choices["batch_size"], examples, replicas)
    _check_options(space)
    for name in choices.get("augmentation", ()):
        augmentation_named(name)
    for axis, values in (*choices.items(), *ranges.items()):
        of_strategies = axis in OPTION_OF_STRATEGY
        for name in space.strategies_with(axis) if of_strategies else [recipe.strategy.name]:
            for value in values:
                space.recipe_at({"strategy": name, axis: value})
    return space


def parse_axes(texts: Sequence[str]) -> dict[str, Axis]:
    """Parses texts such as `batch_size=8,16` and `learning_rate=1e-4..1e-1`.

    Raises:
        InputError: A text does not have that form; `make_space` checks the values.
    """
    axes: dict[str, Axis] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name in axes:
            raise InputError(
                f"An axis must be given once, as NAME=VALUE,VALUE or NAME=SMALLEST..LARGEST. Received: {text!r}"
            )
        ends = values.split("..")
        if len(ends) == 2:
            axes[name] = tuple(_parse_value(end) for end in ends)
        else:
            axes[name] = [_parse_value(value) for value in values.split(",")]
    return axes


def _parse_value(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text.strip()


def default_batch_sizes(examples: int, replicas: int = 1) -> tuple[int, ...]:
    """Returns the powers of two from 8 to 256 that replicas divide and that give at least two batches an epoch."""
    powers = [2**n for n in range(20) if 2**n % replicas == 0 and 2 * 2**n <= examples]
    usual = [size for size in powers if SMALLEST_BATCH <= size <= LARGEST_BATCH]
    if not powers:
        raise InputError(
            f"No power of two is a batch size for {examples} training images on {replicas} replicas: "
            "give the axis `batch_size` yourself, or more images."
        )
    return tuple(usual or powers[-1:])


def _check_of_solved(space: Space) -> None:
    """A recipe refuses what only training by steps has by itself."""
    if not space.axes or "strategy" in space.choices:
        raise InputError(
            "A head of solver='lbfgs' has neither batch size nor learning rate, and finds its L2 penalty by itself: give other "
            "axes, such as on=features,all_blocks, and no `strategy`; or leave `solver` out, for a head that is trained by steps."
        )


def _check_options(space: Space) -> None:
    for axis in OPTION_OF_STRATEGY:
        if axis in space.choices and not space.strategies_with(axis):
            raise InputError(
                f"No strategy of this search has an option `{axis}`: {', '.join(space.strategies)}."
            )


def _check_batch_sizes(sizes: Sequence[Any], examples: int, replicas: int) -> None:
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(f"A batch size must be a whole number over 0. Received: {size!r}")
        if size > examples:
            raise InputError(
                f"Batches of {size} images cannot be made of {examples} training images: leave "
                f"{size} out of the axis `batch_size`."
            )
        check_batch_size(size, replicas)


def _checked_range(axis: str, ends: tuple[Any, Any]) -> tuple[float, float]:
    are_numbers = all(isinstance(end, (int, float)) and math.isfinite(end) for end in ends)
    if not are_numbers or not 0 < ends[0] < ends[1]:
        raise InputError(
            f"The range of `{axis}` must be two numbers over 0, the smaller first. Received: {ends!r}"
        )
    return float(ends[0]), float(ends[1])


def _declare_range(hp: keras_tuner.HyperParameters, axis: str, ends: tuple[float, float]) -> None:
    middle = math.sqrt(ends[0] * ends[1])
    hp.Float(axis, ends[0], ends[1], sampling="log", default=middle)
