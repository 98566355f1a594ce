"""Checks the fields of a frozen dataclass against their annotations: JSON and callers may give anything.

    width: Annotated[int, AtLeast(1)] | None = None

This file stands at the root because `recipe.py` does; it knows nothing of recipes.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from tl_toolkit.errors import InputError, unknown_name

WORDS = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false"}


@dataclasses.dataclass(frozen=True)
class Between:
    """Bounds of a number; an open end is one that the number must not reach."""

    low: float = -math.inf
    high: float = math.inf
    low_is_open: bool = False
    high_is_open: bool = False

    def holds(self, value: float) -> bool:
        """Whether the number lies within."""
        over = value > self.low if self.low_is_open else value >= self.low
        under = value < self.high if self.high_is_open else value <= self.high
        return over and under

    def __str__(self) -> str:
        low = f"{'over' if self.low_is_open else 'at least'} {self.low:g}"
        high = f"{'under' if self.high_is_open else 'at most'} {self.high:g}"
        bounds = [(low, self.low), (high, self.high)]
        return " and ".join(text for text, bound in bounds if math.isfinite(bound))


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Names that are known elsewhere; a `Literal` where they are known here."""

    names: tuple[str, ...]


def AtLeast(low: float) -> Between:  # noqa: N802  (reads like the classes around it)
    """A closed lower bound."""
    return Between(low=low)


def Over(low: float) -> Between:  # noqa: N802
    """An open lower bound."""
    return Between(low=low, low_is_open=True)


def check_fields(values: Any) -> None:
    """Raises `InputError` for the first field whose value is not as its annotation says.

    Fields of other types than numbers, text, truth values and `Literal`s are left to the caller.
    """
    for name, annotation in annotations_of(type(values)).items():
        check_value(name, getattr(values, name), annotation)


def check_value(name: str, value: Any, annotation: Any) -> None:
    """Raises `InputError` where a value is not as an annotation says; `name` is the field's."""
    optional = False
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        members = [m for m in typing.get_args(annotation) if m is not types.NoneType]
        optional = len(members) < len(typing.get_args(annotation))
        annotation = members[0] if len(members) == 1 else object
    if optional and value is None:
        return
    bounds: Sequence[Any] = ()
    if typing.get_origin(annotation) is Annotated:
        annotation, *bounds = typing.get_args(annotation)
    names = [member for bound in bounds if isinstance(bound, OneOf) for member in bound.names]
    if typing.get_origin(annotation) is Literal:
        annotation, names = str, list(typing.get_args(annotation))
    if annotation not in WORDS:
        return
    if not _is_a(value, annotation):
        none = " or None" if optional else ""
        raise InputError(f"`{name}` must be {WORDS[annotation]}{none}. Received: {value!r}")
    if names and value not in names:
        raise unknown_name(name, value, names)
    for bound in bounds:
        if isinstance(bound, Between) and not bound.holds(value):
            raise InputError(f"`{name}` must be {bound}. Received: {value}")


def named_numbers(name: str, values: Any, bounds: Between) -> tuple[tuple[str, float], ...] | None:
    """Returns numbers by name as pairs, sorted by name, which a frozen dataclass can hold; None for none.

    Args:
        name: The field's.
        values: A mapping, or pairs; None for none.
        bounds: Of every number.

    Raises:
        InputError: They are no numbers by name, or one is out of bounds.
    """
    if values is None:
        return None
    try:
        pairs = list(values.items() if isinstance(values, Mapping) else values)
        by_name = dict(pairs)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{name}` must be numbers by name. Received: {values!r}") from error
    if len(by_name) < len(pairs):
        raise InputError(f"`{name}` must name each once. Received: {values!r}")
    for key, number in by_name.items():
        check_value(f"a name in {name}", key, str)
        check_value(f"{name}[{key!r}]", number, Annotated[float, bounds])
    return tuple(sorted(by_name.items())) or None


def plain_type(annotation: Any) -> Any:
    """Returns `str`, `int`, `float` or `bool` behind an annotation, whatever else it says."""
    if typing.get_origin(annotation) is Annotated:
        return plain_type(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is Literal:
        return str
    members = [m for m in typing.get_args(annotation) if m is not types.NoneType]
    return plain_type(members[0]) if members else annotation


def annotations_of(kind: type) -> dict[str, Any]:
    """Returns the annotations of a dataclass's fields, resolved."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _is_a(value: Any, kind: type) -> bool:
    if kind is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and math.isfinite(value)
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
