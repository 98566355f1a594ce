"""The range of values that stands for black to white in photos of more than 8 bits a channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tl_toolkit.errors import InputError

ValueRange = tuple[float, float]


def as_value_range(value: Any) -> ValueRange | None:
    """Returns two finite numbers, the lower one first, as floats; None for None.

    Raises:
        InputError: They are not.
    """
    if value is None:
        return None
    is_pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    if not is_pair or not all(_is_finite(end) for end in value):
        raise InputError(
            f"`value_range` must be two finite numbers, such as (0, 4095), or None. Received: {value!r}"
        )
    low, high = float(value[0]), float(value[1])
    if not low < high:
        raise InputError(
            "`value_range` must have its low end, which becomes black, under its high end, which becomes white. "
            f"Received: {low:g} {high:g}"
        )
    return low, high


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
