"""Photos in formats that TensorFlow does not decode, as PNG files that it does: TIFF, HEIC, AVIF, JPEG 2000, PGM and more."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from tl_toolkit.errors import InputError

# Of what Pillow reads, the formats that hold photos; its others are documents and parts of games.
FORMATS = ("TIFF", "HEIF", "AVIF", "JPEG2000", "PPM", "ICO", "TGA", "PCX", "SGI", "DDS", "MPO")
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
DECODED_BY_TENSORFLOW = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")
MOST_PIXELS = 150_000_000  # Pillow refuses more than 179 million by itself
LARGEST_UINT16 = 65535
# What Pillow raises where a photo is damaged.
PixelError = (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError)
QUICK = 1  # of zlib: PNG files a fifth larger, and written several times as fast


def is_other_format(contents: bytes) -> bool:
    """Whether a file begins as none of the formats that TensorFlow decodes: JPEG, PNG, GIF, BMP and WebP."""
    is_webp = contents[:4] == b"RIFF" and contents[8:12] == b"WEBP"
    return not is_webp and not contents.startswith(DECODED_BY_TENSORFLOW)


def decodable(contents: bytes) -> bytes:
    """Returns a file's contents as TensorFlow decodes them: another format's as a PNG file.

    Raises:
        InputError: See `as_png`.
    """
    return as_png(contents) if is_other_format(contents) else contents


def as_png(contents: bytes) -> bytes:
    """Returns a photo of another format as a PNG file with the same pixels.

    The first page or frame; upright, as EXIF says; what is transparent laid on white; in sRGB, where a colour profile is
    embedded. Of 16 bits a channel the upper 8 are kept, rounded: 65535 becomes 255. Floats must lie from 0 to 1, which
    becomes 255.

    Args:
        contents: Of the file.

    Returns:
        A PNG file, 8-bit RGB.

    Raises:
        InputError: It is no photo, it is damaged, too large, or needs a package that is not installed.
    """
    if not contents:
        raise InputError("the file is empty")
    if contents[4:8] == b"ftyp" and contents[8:12] in HEIF_BRANDS:
        _register_heif()
    try:
        with Image.open(io.BytesIO(contents), formats=_known_formats()) as photo:
            width, height = photo.size
            if width * height > MOST_PIXELS:
                raise InputError(f"too large: {width} x {height} pixels")
            photo.load()
            rgb = _in_srgb(ImageOps.exif_transpose(photo))
    except Image.DecompressionBombError as error:
        raise InputError(f"too large: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError("not a photo in a known format") from error
    except InputError:
        raise
    except Exception as error:  # of a damaged file, Pillow's plugins raise what they like
        raise InputError(f"damaged or cut short: {error}") from error
    file = io.BytesIO()
    rgb.save(file, "PNG", compress_level=QUICK)
    return file.getvalue()


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            "HEIC needs the extra 'photos': pip install 'tl-toolkit[photos]', or save it as JPEG"
        ) from error
    pillow_heif.register_heif_opener()


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _in_srgb(photo: Image.Image) -> Image.Image:
    """Returns 8-bit RGB."""
    profile = photo.info.get("icc_profile")
    if photo.mode.startswith("I") or photo.mode == "F":
        return Image.fromarray(_grey(np.asarray(photo))).convert("RGB")
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


def _grey(values: np.ndarray) -> np.ndarray:
    """Scales whole numbers of 16 bits, or floats from 0 to 1, to uint8."""
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise InputError(
                f"its pixels are floats from {values.min():g} to {values.max():g}: scale them to 0-1, or save them as "
                "whole numbers"
            )
        return np.round(values * 255).astype(np.uint8)
    if values.min() < 0 or values.max() > LARGEST_UINT16:
        raise InputError(
            f"its pixels are whole numbers from {values.min()} to {values.max()}: save them with 8 or 16 bits"
        )
    return np.round(values.astype(np.float64) * (255 / LARGEST_UINT16)).astype(np.uint8)
