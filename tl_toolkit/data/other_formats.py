"""Photos in formats that TensorFlow does not decode, as PNG files that it does: TIFF, HEIC, AVIF, JPEG 2000, PGM and more."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from tl_toolkit.catalog import ValueRange
from tl_toolkit.data.value_range import (
    LARGEST_UINT16,
    is_deep_grey_png,
    scaled_values,
)
from tl_toolkit.errors import InputError

# Of what Pillow reads, the formats that hold photos; its others are documents and parts of games.
FORMATS = ("TIFF", "HEIF", "AVIF", "JPEG2000", "PPM", "ICO", "TGA", "PCX", "SGI", "DDS", "MPO")
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
DECODED_BY_TENSORFLOW = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")
MOST_PIXELS = 150_000_000  # Pillow refuses more than 179 million by itself
FULL_RANGE, UNIT_RANGE = (0.0, float(LARGEST_UINT16)), (0.0, 1.0)  # of whole numbers, and of floats
# What Pillow raises where a photo is damaged.
PixelError = (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError)
QUICK = 1  # of zlib: PNG files a fifth larger, and written several times as fast
# In the PNG file that a photo became: by which range, so that it is not taken for one of 8 bits.
RANGE_NOTE = "tl_toolkit value range"
NOTED_WITHIN = 256  # bytes of a file


def is_other_format(contents: bytes) -> bool:
    """Whether a file begins as none of the formats that TensorFlow decodes: JPEG, PNG, GIF, BMP and WebP."""
    is_webp = contents[:4] == b"RIFF" and contents[8:12] == b"WEBP"
    return not is_webp and not contents.startswith(DECODED_BY_TENSORFLOW)


def decodable(contents: bytes, value_range: ValueRange | None = None) -> bytes:
    """Returns a file's contents as TensorFlow decodes them: another format's as a PNG file.

    Args:
        contents: Of the file.
        value_range: By which 16-bit and float greys are scaled, those of PNG files too; what was scaled by it before is
            returned as it is. None: see `as_png`, and a PNG file keeps its 16 bits.

    Raises:
        InputError: See `as_png`; or there is a range, and the photo is none of 16-bit or float greys.
    """
    if is_other_format(contents) or (value_range is not None and is_deep_grey_png(contents)):
        return as_png(contents, value_range)
    if value_range is not None and not _is_scaled(contents, value_range):
        raise _without_range(value_range)
    return contents


def as_png(contents: bytes, value_range: ValueRange | None = None) -> bytes:
    """Returns a photo of another format, or a PNG file of 16-bit greys, as a PNG file with the same pixels.

    The first page or frame; upright, as EXIF says; what is transparent laid on white; in sRGB, where a colour profile is
    embedded. Of 16 bits a channel the upper 8 are kept, rounded: 65535 becomes 255. Floats must lie from 0 to 1, which
    becomes 255.

    Args:
        contents: Of the file.
        value_range: Low and high, in place of these: greys of 16 or 32 bits and floats are scaled from there, and what
            lies beyond is clipped.

    Returns:
        A PNG file, 8-bit RGB.

    Raises:
        InputError: It is no photo, it is damaged, too large, or needs a package that is not installed; or there is a
            range, and it has 8 bits a channel.
    """
    if not contents:
        raise InputError("the file is empty")
    if contents[4:8] == b"ftyp" and contents[8:12] in HEIF_BRANDS:
        _register_heif()
    try:
        with Image.open(io.BytesIO(contents), formats=_known_formats(contents)) as photo:
            width, height = photo.size
            if width * height > MOST_PIXELS:
                raise InputError(f"too large: {width} x {height} pixels")
            photo.load()
            rgb = _in_srgb(ImageOps.exif_transpose(photo), value_range)
    except Image.DecompressionBombError as error:
        raise InputError(f"too large: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError("not a photo in a known format") from error
    except InputError:
        raise
    except Exception as error:  # of a damaged file, Pillow's plugins raise what they like
        raise InputError(f"damaged or cut short: {error}") from error
    file = io.BytesIO()
    rgb.save(file, "PNG", compress_level=QUICK, pnginfo=_note(value_range))
    return file.getvalue()


def _note(value_range: ValueRange | None) -> PngImagePlugin.PngInfo | None:
    if value_range is None:
        return None
    note = PngImagePlugin.PngInfo()
    note.add_text(RANGE_NOTE, _in_words(value_range))
    return note


def _is_scaled(contents: bytes, value_range: ValueRange) -> bool:
    """Whether `as_png` made a file by this range; the note stands behind the header."""
    note = f"{RANGE_NOTE}\0{_in_words(value_range)}".encode()
    length = len(note).to_bytes(4, "big")
    return length + b"tEXt" + note in contents[:NOTED_WITHIN]


def _in_words(value_range: ValueRange) -> str:
    return "{!r} {!r}".format(*value_range)


def _without_range(value_range: ValueRange) -> InputError:
    return InputError(
        "it has no 16-bit or float grey levels, and value_range={:g} {:g} scales only those: leave the range out, or "
        "keep photos of 8 bits and of colours apart".format(*value_range)
    )


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            "HEIC needs the extra 'photos': pip install 'tl-toolkit[photos]', or save it as JPEG"
        ) from error
    pillow_heif.register_heif_opener()


def _known_formats(contents: bytes) -> list[str]:
    Image.init()
    # A PNG file comes here for its 16 bits; any other is decoded by TensorFlow.
    formats = (*FORMATS, "PNG") if is_deep_grey_png(contents) else FORMATS
    return [name for name in formats if name in Image.OPEN]


def _in_srgb(photo: Image.Image, value_range: ValueRange | None) -> Image.Image:
    """Returns 8-bit RGB."""
    profile = photo.info.get("icc_profile")
    if photo.mode.startswith("I") or photo.mode == "F":
        return Image.fromarray(_grey(np.asarray(photo), value_range)).convert("RGB")
    if value_range is not None:
        raise _without_range(value_range)
    if photo.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in photo.info:
        coloured = photo.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        photo = Image.alpha_composite(white, coloured).convert("RGB")
    if profile and photo.mode in ("RGB", "CMYK", "L"):
        return _converted(photo, profile)
    return photo.convert("RGB")


def _converted(photo: Image.Image, profile: bytes) -> Image.Image:
    """Converts by an embedded profile; one that does not fit, as some programs write, is not looked at."""
    try:
        made = ImageCms.profileToProfile(
            photo,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        made = None
    return made if made is not None else photo.convert("RGB")


def _grey(values: np.ndarray, value_range: ValueRange | None) -> np.ndarray:
    """Scales by the range; without one, whole numbers of 16 bits, or floats from 0 to 1; to uint8."""
    if value_range is not None:
        return scaled_values(values, value_range)
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise InputError(
                f"its pixels are floats from {values.min():g} to {values.max():g}: scale them to 0-1, save them as "
                "whole numbers, or say with value_range (--value-range LOW HIGH) what becomes black and white"
            )
        return scaled_values(values, UNIT_RANGE)
    if values.min() < 0 or values.max() > LARGEST_UINT16:
        raise InputError(
            f"its pixels are whole numbers from {values.min()} to {values.max()}: save them with 8 or 16 bits, or say with "
            "value_range (--value-range LOW HIGH) what becomes black and white"
        )
    return scaled_values(values, FULL_RANGE)
