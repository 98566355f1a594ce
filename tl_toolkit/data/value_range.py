"""Values of photos with more than 8 bits a channel, scaled to 0-255 by a range that the user gives. No TensorFlow."""

from __future__ import annotations

import numpy as np

from tl_toolkit.catalog import ValueRange
from tl_toolkit.errors import InputError

LARGEST_UINT16 = 65535
PNG_MAGIC = b"\x89PNG"
# Of a PNG file's header: where the bits a channel and the kind of colour stand.
BITS_AT, COLOUR_AT = 24, 25
SIXTEEN_BITS, GREY = 16, 0


def scaled_values(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Scales whole numbers or floats: the range's low end becomes 0, its high end 255; what lies beyond is clipped.

    Args:
        values: Of any shape.
        value_range: Low and high.

    Returns:
        uint8 of that shape, rounded.

    Raises:
        InputError: A value is no finite number.
    """
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    elif not np.isfinite(values).all():
        raise InputError("its pixels are floats that are not all finite: replace NaN and infinity")
    low, high = value_range
    shares = (np.clip(values, low, high) - low) / (high - low)
    return np.round(shares * 255).astype(np.uint8)


def is_deep_grey_png(contents: bytes) -> bool:
    """Whether a file is a PNG of 16-bit grey levels."""
    of_header = contents[BITS_AT : COLOUR_AT + 1]
    return contents.startswith(PNG_MAGIC) and of_header == bytes((SIXTEEN_BITS, GREY))
