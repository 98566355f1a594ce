"""Photos made small enough for hundreds of them to stand in one file."""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import io
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import tensorflow as tf
from PIL import Image

from tl_toolkit.data.dataset import ArrayImages, Images
from tl_toolkit.data.lazy_image import DecodedImage, EncodedLazyImage, LazyImage
from tl_toolkit.data.parallelism import PARALLEL_CALLS

SIDE = 128  # pixels of the longer side, at most
QUALITY = 68  # of WebP
MOST = 1_200  # of a page: to decode them takes seconds
BYTES_OF_ALL = 3_300_000  # of the text in the page: with everything else it stays under 5 MB


@dataclasses.dataclass(frozen=True)
class Thumbnails:
    """Small photos as text for a page, each of them once.

    Attributes:
        of: WebP files in base64, by the photo's position.
        left_out: How many there was no room for.
        unreadable: Photos that are gone, changed or damaged.
    """

    of: Mapping[int, str] = dataclasses.field(default_factory=dict)
    left_out: int = 0
    unreadable: tuple[int, ...] = ()


def make_thumbnails(
    images: Images,
    positions: Iterable[int],
    is_same: Callable[[int], bool],
    room: int = BYTES_OF_ALL,
) -> Thumbnails:
    """Makes thumbnails in the given order until the room is used up.

    Args:
        images: Where they are read from.
        positions: Of the photos, the most important ones first.
        is_same: Whether a photo is still the one that was meant; one that is not is left out.
        room: Bytes of text.
    """
    of: dict[int, str] = {}
    positions = list(positions)
    unreadable, left_out = [], len(positions[MOST:])

    def make(position: int) -> tuple[int, str | None]:
        try:
            return position, in_base64(webp(small_pixels(images, position))) if is_same(
                position
            ) else None
        except (OSError, LookupError, tf.errors.OpError):
            return position, None

    with concurrent.futures.ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        for position, text in pool.map(make, positions[:MOST]):
            if text is None:
                unreadable.append(position)
            elif len(text) <= room:
                of[position] = text
                room -= len(text)
            else:
                left_out += 1
    return Thumbnails(of, left_out, tuple(unreadable))


def small_pixels(images: Images, position: int, side: int = SIDE) -> np.ndarray:
    """Decodes a photo as the network's are decoded, whole and upright, no larger than needed.

    Returns:
        uint8[height, width, 3], the longer side at most `side` pixels; a smaller photo stays as it is.
    """
    image: LazyImage
    if isinstance(images, ArrayImages):
        image = DecodedImage(tf.constant(images.pixels[position]))
    else:
        image = EncodedLazyImage(tf.constant(images.encoded(position)))
    height, width = (float(length) for length in image.sides())
    shrunk = max(height, width) / side
    coarsest = max(1.0, min(height, width) / max(shrunk, 1.0))
    pixels, _ = image.region((0.0, 0.0, height, width), coarsest)
    pixels = np.clip(np.rint(pixels.numpy()), 0, 255).astype(np.uint8)
    if shrunk <= 1:
        return pixels
    size = max(1, round(width / shrunk)), max(1, round(height / shrunk))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX, reducing_gap=None))


def webp(pixels: np.ndarray, quality: int = QUALITY) -> bytes:
    """Returns a WebP file of uint8[height, width, 3]; a tiny one without loss, since each of its pixels is seen."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, "WEBP", quality=quality, method=3, lossless=max(pixels.shape) <= 32
    )
    return file.getvalue()


def in_base64(contents: bytes) -> str:
    """Returns bytes as text for a `data:` address."""
    return base64.b64encode(contents).decode("ascii")
