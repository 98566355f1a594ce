"""What can be said of one photo without a network: whether it can be read, its format, light and sharpness.

The thresholds of light, shape and blur are those of cleanvision 0.3.7 (Apache-2.0), and so are the measures, taken
as there of 64 pixels a side; a JPEG's come from a decode at a fraction of its size.
"""

from __future__ import annotations

import dataclasses
import io
import os
import warnings

import numpy as np
import tensorflow as tf
from PIL import Image, ImageFilter, ImageStat, UnidentifiedImageError

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.decode import check_image
from tl_toolkit.data.other_formats import PixelError, decodable
from tl_toolkit.data.thumbnails import (
    DECODED_SIDE,
    NUMBERS,
    small_rgb,
    thumbnail,
)
from tl_toolkit.errors import InputError

# Cannot be trained on.
UNREADABLE, TRUNCATED, BOMB = "unreadable", "truncated", "decompression bomb"
FAULTS = (UNREADABLE, TRUNCATED, BOMB)
# Worth a look.
KINDS = (
    "wrong extension",
    "tiny",
    "odd aspect ratio",
    "turned by EXIF",
    "alpha",
    "16 bits",
    "CMYK",
    "blank",
    "dark",
    "bright",
    "blurred",
)
SMALLEST_SIDE = 32  # pixels: less than one cell of a ResNet's last feature map
ASPECT_RATIO = 0.35  # shorter by longer side, at least
BLANK = 2.0  # standard deviation of the grey levels, at least; a JPEG of one colour has under 1
DARK = 0.32  # of the brightest hundredth of the pixels, at least; brightness from 0 to 1
BRIGHT = 0.95  # of the darkest twentieth, at most
BLUR, OF_HISTOGRAM, SCALE = 0.29, 0.18, 0.01
MOST_PIXELS = 89_478_485  # Pillow's: a quarter of a gigabyte of RGB
EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {".jpg", ".jpeg", ".mpo"},
    "PNG": {".png"},
    "GIF": {".gif"},
    "BMP": {".bmp", ".dib"},
    "WEBP": {".webp"},
    "TIFF": {".tif", ".tiff"},
    "HEIF": {".heic", ".heif", ".hif"},
    "AVIF": {".avif"},
    "JPEG2000": {".jp2", ".j2k", ".jpx", ".jpf"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
}
SIXTEEN_BIT_PNG = 16  # the byte of a PNG's header that says how many bits a channel has, at 24


@dataclasses.dataclass(frozen=True)
class PhotoFacts:
    """What one photo is.

    Attributes:
        format: As Pillow names it; "" where it has none.
        width: Pixels, as it is stored; 0 where it is not known.
        height: Likewise.
        fault: One of `FAULTS`, or "".
        reason: Of the fault, in words.
        figures: By kind, what was measured, for those of `KINDS` that were found.
        thumbnail: uint8[NUMBERS]; zeros for a fault.
    """

    format: str
    width: int
    height: int
    fault: str
    reason: str
    figures: dict[str, float]
    thumbnail: np.ndarray


def check_photo(
    contents: bytes, name: str = "", value_range: ValueRange | None = None
) -> PhotoFacts:
    """Looks at a photo.

    Args:
        contents: Of the file.
        name: Of the file; "" where it has none, so that no extension can be wrong.
        value_range: See `decodable`.
    """
    nothing = np.zeros(NUMBERS, np.uint8)
    try:
        readable, why_not = decodable(contents, value_range), ""
    except InputError as error:
        readable, why_not = b"", str(error)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(contents)) as image:
            kind, (width, height) = image.format or "", image.size
            found = _of_header(image, contents, name)
            if width * height > MOST_PIXELS:
                reason = f"{width} x {height} pixels, over {MOST_PIXELS:,}"
                return PhotoFacts(kind, width, height, BOMB, reason, found, nothing)
            try:
                check_image(readable)
                small = small_rgb(image if readable is contents else _opened(readable))
            except (*PixelError, tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
                reason = why_not or "damaged or cut short"
                fault = TRUNCATED if "damaged" in reason else UNREADABLE
                return PhotoFacts(kind, width, height, fault, reason, found, nothing)
    except Image.DecompressionBombError:
        reason = f"over {2 * MOST_PIXELS:,} pixels"
        return PhotoFacts("", 0, 0, BOMB, reason, {}, nothing)
    except (UnidentifiedImageError, *PixelError):
        return PhotoFacts("", 0, 0, UNREADABLE, why_not or "damaged", {}, nothing)
    return PhotoFacts(kind, width, height, "", "", {**found, **_of_pixels(small)}, thumbnail(small))


def _opened(contents: bytes) -> Image.Image:
    return Image.open(io.BytesIO(contents))


def _of_header(image: Image.Image, contents: bytes, name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    extension = os.path.splitext(name)[1].lower()
    if name and extension not in EXTENSIONS.get(image.format or "", {extension}):
        found["wrong extension"] = 1.0
    shorter, longer = sorted(image.size)
    if shorter < SMALLEST_SIDE:
        found["tiny"] = float(shorter)
    if shorter < ASPECT_RATIO * longer:
        found["odd aspect ratio"] = shorter / longer
    # Of a PNG without such data before its pixels, Pillow would read them all to look behind.
    if image.format in ("JPEG", "MPO", "WEBP", "TIFF") or "exif" in image.info:
        orientation = image.getexif().get(0x0112, 1)
        if orientation in range(2, 9):
            found["turned by EXIF"] = float(orientation)
    if "A" in image.getbands() or "transparency" in image.info:
        found["alpha"] = 1.0
    is_deep_png = image.format == "PNG" and contents[24:25] == bytes([SIXTEEN_BIT_PNG])
    if is_deep_png or image.mode.startswith("I"):
        found["16 bits"] = 1.0
    if image.mode == "CMYK":
        found["CMYK"] = 1.0
    return found


def _of_pixels(image: Image.Image) -> dict[str, float]:
    if max(image.size) > DECODED_SIDE:
        image = image.copy()
        image.thumbnail((DECODED_SIDE, DECODED_SIDE), Image.Resampling.BICUBIC)
    squares = np.asarray(image, np.float32).reshape(-1, 3) ** 2
    brightness = np.sqrt(squares @ np.array([0.241, 0.691, 0.068], np.float32)) / 255
    darkest, brightest = np.percentile(brightness, [5, 99])
    grey = image.convert("L")
    deviation = float(np.asarray(grey, np.float32).std())
    found: dict[str, float] = {}
    if deviation < BLANK:
        return {"blank": deviation}
    if brightest < DARK:
        found["dark"] = float(brightest)
    if darkest > BRIGHT:
        found["bright"] = float(darkest)
    sharpness = _sharpness(grey)
    if sharpness < BLUR:
        found["blurred"] = sharpness
    return found


def _sharpness(grey: Image.Image) -> float:
    """Returns cleanvision's score, from 0: of the edges, and of how uneven the histogram is."""
    edges = np.sqrt(ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).var[0])
    of_edges = 1 - np.exp(-SCALE * edges)
    of_histogram = 1 - np.exp(-SCALE * np.std(grey.histogram()))
    return float(min(1, of_edges + (of_histogram if of_histogram > OF_HISTOGRAM else 0)))
