"""Files that a page sends: bounded before they are read, and looked at before they are decoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import AsyncIterator

from PIL import Image

from tl_toolkit.errors import InputError

MOST_BYTES = 32 * 2**20
MOST_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")


async def read_bounded(parts: AsyncIterator[bytes], most: int = MOST_BYTES) -> bytes:
    """Returns what is sent, as far as it is not too much.

    Raises:
        InputError: It is more than `most` bytes.
    """
    received = bytearray()
    async for part in parts:
        received += part
        if len(received) > most:
            raise InputError(f"The file is larger than {most // 2**20} MB.")
    return bytes(received)


def check_size(contents: bytes, most: int = MOST_PIXELS) -> None:
    """Reads a photo's header, and no more.

    Raises:
        InputError: It is no photo, or would take more memory than one should.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound is our own
            with Image.open(io.BytesIO(contents), formats=FORMATS) as photo:
                width, height = photo.size
    except Image.DecompressionBombError as error:  # far over the bound
        raise InputError(f"The photo has too many pixels: {error}") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            "This is no JPEG, PNG, GIF, BMP or WebP photo, or it is damaged."
        ) from error
    if width * height > most:
        raise InputError(
            f"The photo has {width} × {height} pixels; at most {most // 10**6} million are taken."
        )
