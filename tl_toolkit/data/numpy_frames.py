"""Image files and pixels to the frames that a network takes, by Pillow and NumPy: the start of an answer without TensorFlow.

What `resize` does in TensorFlow's graphs, in the same order, to the rounding of sums. Pillow decodes JPEG by the library that
TensorFlow has inside, with the same transform. Where the two decode differently, nothing is returned, and TensorFlow is asked.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from tl_toolkit.catalog import LETTERBOX, SQUASH, Preprocessing
from tl_toolkit.data.orientation import (
    FLIPPED_LEFT_RIGHT,
    FLIPPED_UP_DOWN,
    jpeg_orientation,
    png_orientation,
    turned_upright,
)
from tl_toolkit.data.other_formats import as_png
from tl_toolkit.data.value_range import BITS_AT, PNG_MAGIC, is_deep_grey_png

JPEG_MAGIC = b"\xff\xd8\xff"
JPEG_SCALES = (8, 4, 2, 1)  # of pixels, that a JPEG is put out at
GREY = 128.0  # beside an image in a letterbox
Kernel = Callable[[np.ndarray], np.ndarray]
Window = tuple[np.floating, np.floating, np.floating, np.floating]  # top, left, height, width


def frame_of_file(contents: bytes, preprocessing: Preprocessing) -> np.ndarray | None:
    """Turns a file's contents into float32[size, size, 3], RGB, 0-255, as `resize_files_for_evaluation` does.

    Returns:
        The frame; None where TensorFlow has to decode: a file that is neither JPEG nor PNG, a JPEG in CMYK, a PNG with 16
        bits a channel (but for greys that the preprocessing has a range for), several frames or a colour that stands for
        transparent, more than 89 million pixels, or what Pillow finds damaged.
    """
    try:
        if preprocessing.value_range is not None and is_deep_grey_png(contents):
            contents = as_png(contents, preprocessing.value_range)
        if contents.startswith(JPEG_MAGIC):
            return _frame_of_jpeg(contents, preprocessing)
        if contents.startswith(PNG_MAGIC):
            pixels = _png_pixels(contents)
            return None if pixels is None else frame_of_pixels(pixels, preprocessing)
    except Exception:  # of a damaged file, Pillow's plugins raise what they like, and TensorFlow says what is wrong
        return None
    return None


def frame_of_pixels(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Turns uint8 or float32[height, width, 3], 0-255, into float32[size, size, 3], as `resize_pixels_for_evaluation` does."""
    height, width, _ = pixels.shape
    window = evaluation_window(height, width, preprocessing)
    return _resampled(pixels, window, preprocessing)


def evaluation_window(height: int, width: int, preprocessing: Preprocessing) -> Window:
    """As the function of that name in `resize`, and in float32 as it is there: its sides are rounded."""
    full_height, full_width = np.float32(height), np.float32(width)
    size = np.float32(preprocessing.image_size)
    side = np.float32(round(preprocessing.image_size / preprocessing.crop_fraction))
    if preprocessing.resize == SQUASH:
        resized_height = resized_width = side
    else:
        fitted = max if preprocessing.resize == LETTERBOX else min
        ratio = side / fitted(full_height, full_width)
        resized_height, resized_width = (
            np.maximum(np.floor(length * ratio + np.float32(1e-4)), np.float32(1))
            for length in (full_height, full_width)
        )
    top, left = (np.round((length - size) / 2) for length in (resized_height, resized_width))
    vertical, horizontal = full_height / resized_height, full_width / resized_width
    return top * vertical, left * horizontal, size * vertical, size * horizontal


def _frame_of_jpeg(jpeg: bytes, preprocessing: Preprocessing) -> np.ndarray | None:
    photo = JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg))
    if photo.mode not in ("L", "RGB") or _is_huge(photo):
        return None
    width, height = photo.size
    orientation = jpeg_orientation(jpeg)
    if orientation >= 5:
        height, width = width, height
    top, left, window_height, window_width = evaluation_window(height, width, preprocessing)
    # No finer than needed, as `lazy_image` decodes.
    detail = min(window_height, window_width) / np.float32(preprocessing.image_size)
    scale = next((scale for scale in JPEG_SCALES if detail >= scale), 1)
    coarse = tuple(-(-side // scale) for side in photo.size)
    if scale > 1:
        photo.draft(None, (photo.size[0] // scale, photo.size[1] // scale))
    if photo.size != coarse:
        return None
    pixels = turned_upright(np.asarray(photo.convert("RGB")), orientation)
    # The last pixel of a row or column may stand for less than `scale` of the stored ones; turned upright, it may be first.
    beyond_height = np.float32(pixels.shape[0] - height / scale)
    beyond_width = np.float32(pixels.shape[1] - width / scale)
    window = (
        top / scale + (beyond_height if orientation in FLIPPED_UP_DOWN else 0),
        left / scale + (beyond_width if orientation in FLIPPED_LEFT_RIGHT else 0),
        window_height / scale,
        window_width / scale,
    )
    return _resampled(pixels, window, preprocessing)


def _png_pixels(png: bytes) -> np.ndarray | None:
    photo = PngImagePlugin.PngImageFile(io.BytesIO(png))
    if png[BITS_AT] > 8 or getattr(photo, "is_animated", False) or _is_huge(photo):
        return None
    photo.load()
    if "transparency" in photo.info or photo.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        return None
    if photo.mode in ("LA", "RGBA"):
        values = np.asarray(photo.convert("RGBA")).astype(np.int32)
        colour, alpha = values[..., :3], values[..., 3:]
        pixels = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)  # on white
    else:
        pixels = np.asarray(photo.convert("RGB"))
    return turned_upright(pixels, png_orientation(png))


def _is_huge(photo: Image.Image) -> bool:
    """Whether a photo has more pixels than Pillow opens without a warning, which its plugins by themselves do not look at."""
    return math.prod(photo.size) > (Image.MAX_IMAGE_PIXELS or math.inf)


def _resampled(pixels: np.ndarray, window: Window, preprocessing: Preprocessing) -> np.ndarray:
    """Cuts a window out of an image and resizes it, antialiased; behind the border is what `resize` has there."""
    top, left, height, width = window
    size, kernel = preprocessing.image_size, KERNELS[preprocessing.interpolation]
    border = np.float32(GREY if preprocessing.resize == LETTERBOX else 0)
    rows, of_rows = _weights(pixels.shape[0], float(top), float(height), size, *kernel)
    columns, of_columns = _weights(pixels.shape[1], float(left), float(width), size, *kernel)
    part = pixels[rows, columns].astype(np.float32) - border
    shorter = of_rows @ part.reshape(len(part), -1)
    frame = np.matmul(of_columns, shorter.reshape(size, part.shape[1], 3)) + border
    return frame.clip(0, 255)  # bicubic overshoots


def _weights(
    length: int, start: float, window: float, size: int, kernel: Kernel, radius: int
) -> tuple[slice, np.ndarray]:
    """Returns which pixels of a row count, and float32[size, those] weights, each row of which adds up to 1.

    A pixel of the result whose middle lies outside the image gets none.
    """
    # In float32 and in the order of TensorFlow's ScaleAndTranslate: positions are rounded as there.
    scale = np.float32(size) / np.float32(window)
    step = np.float32(1) / scale
    reach = max(step, np.float32(1))
    middles = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * step
    middles += step * (np.float32(start) * scale)
    first = max(0, math.floor(middles[0] - radius * reach - 1))
    last = min(length, math.ceil(middles[-1] + radius * reach + 1))
    positions = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    distances = np.abs(positions - middles[:, None]) / reach
    weights = np.where(distances < radius, kernel(distances), np.float32(0))
    weights[(middles < 0) | (middles > length)] = 0
    sums = weights.sum(1, keepdims=True)
    return slice(first, last), weights / np.where(sums == 0, np.float32(1), sums)


def _triangle(x: np.ndarray) -> np.ndarray:
    return 1 - x


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", with a = -1/2."""
    near = (1.5 * x - 2.5) * x * x + 1
    return np.where(x < 1, near, ((-0.5 * x + 2.5) * x - 4) * x + 2)


# By interpolation, and how many pixels far it reaches.
KERNELS: dict[str, tuple[Kernel, int]] = {"bilinear": (_triangle, 1), "bicubic": (_cubic, 2)}
