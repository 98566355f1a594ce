"""Images as a classifier is asked them: paths, files' contents or pixels. No TensorFlow."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.errors import InputError

Image = str | pathlib.Path | bytes | np.ndarray
# From `image_bytes`, a list of files' contents, or `images`, uint8 or float32[batch, height, width, 3], to what
# `make_endpoints` gives, as NumPy arrays.
Endpoint = Callable[..., dict[str, np.ndarray]]
BATCH_SIZE = 32


class NotDecodedError(Exception):
    """An endpoint could not decode an image file.

    Attributes:
        position: Of the file among those that were given; None where it is not known.
    """

    def __init__(self, position: int | None = None) -> None:
        super().__init__(position)
        self.position = position


def batches_of(images: list[Image]) -> Iterable[list[Image]]:
    """Parts the images where their kind or shape changes, and every 32."""
    batch: list[Image] = []
    for image in images:
        if isinstance(image, np.ndarray):
            image = checked_pixels(image)
        if batch and (len(batch) == BATCH_SIZE or _kind(image) != _kind(batch[0])):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _kind(image: Image) -> Any:
    return (image.shape, image.dtype) if isinstance(image, np.ndarray) else None


def checked_pixels(image: np.ndarray) -> np.ndarray:
    """Returns pixels as the endpoints take them, uint8 or float32[height, width, 3].

    Raises:
        InputError: They are not RGB of 0-255.
    """
    if image.ndim != 3 or image.shape[-1] != 3:
        raise InputError(f"Pixels must be [height, width, 3], RGB. Received: {image.shape}")
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"Pixels must be uint8 or float, 0-255. Received: {image.dtype}")
    if image.size and not (image.min() >= 0 and image.max() <= 255):
        raise InputError(
            f"Float pixels must lie between 0 and 255. Received: {image.min():g} to {image.max():g}"
        )
    if image.size and 0 < image.max() <= 1:
        raise InputError(
            "Float pixels must be 0-255, and these lie between 0 and 1: multiply them by 255. A photo that is "
            "nearly black can be given as uint8."
        )
    return image.astype(np.float32)


def contents_of(
    image: str | pathlib.Path | bytes, number: int = 1, value_range: ValueRange | None = None
) -> bytes:
    """Returns a file's contents as the SavedModel decodes them: another format's as a PNG file.

    Args:
        image: A path, or the contents.
        number: To name the image by, where it has no path.
        value_range: Of the classifier.

    Raises:
        InputError: It cannot be read, or is no photo.
    """
    contents = image if isinstance(image, bytes) else _read(image)
    try:
        return decodable(contents, value_range)
    except InputError as error:
        raise InputError(f"The image {name_of(image, number)} cannot be used: {error}.") from error


def _read(path: str | pathlib.Path) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read the image {str(path)!r}: {error.strerror}.") from error


def name_of(image: Image, number: int) -> str:
    return f"number {number}" if isinstance(image, bytes) else repr(str(image))
