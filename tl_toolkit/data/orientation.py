"""How a camera was held, read from a file's bytes by Python alone: for processes without TensorFlow.

`exif` reads the same in TensorFlow's graphs; what both say of a file must be equal, for files that make no sense too.
References: JEITA CP-3451C (Exif 2.3), sections 4.5 and 4.7; TIFF 6.0 for the directory; W3C, PNG (Third Edition), 11.3.4.6.
"""

from __future__ import annotations

import struct

import numpy as np

UPRIGHT = 1
ORIENTATION_TAG = 0x0112
START_OF_SCAN, APP1 = 0xDA, 0xE1
EXIF_LETTERS = b"Exif\0\0"
EXIF_SEARCH_BYTES, MOST_EXIF_BYTES = 1 << 17, 1 << 16  # as in `exif`
MOST_ENTRIES = 256
# Read from the right: 5 to 8 are 1 to 4 of the transposed image.
FLIPPED_LEFT_RIGHT, FLIPPED_UP_DOWN = (2, 3, 6, 7), (3, 4, 7, 8)


def jpeg_orientation(jpeg: bytes) -> int:
    """Returns the EXIF orientation of a JPEG file, 1 to 8; 1 where there is none or it makes no sense."""
    start_of_file = jpeg[:EXIF_SEARCH_BYTES]
    start = 2
    while True:
        segment = start_of_file[start : start + 10].ljust(10, b"\0")
        if segment[0] == 0xFF and segment[1] == APP1 and segment[4:] == EXIF_LETTERS:
            return _orientation_in(start_of_file[start + 10 :])
        if segment[0] != 0xFF or segment[1] == START_OF_SCAN or start + 4 >= len(start_of_file):
            return UPRIGHT
        # A length counts its own two bytes; less is damage, and 2 moves on all the same.
        start += 2 + max(int.from_bytes(segment[2:4], "big"), 2)


def png_orientation(png: bytes) -> int:
    """As `jpeg_orientation`, of a PNG file whose EXIF data stand before its pixels."""
    start = 8
    while start + 8 < len(png):
        length, name = struct.unpack_from(">I4s", png, start)
        if name == b"eXIf":
            exif = png[start + 8 : start + 8 + min(length, MOST_EXIF_BYTES)]
            return _orientation_in(exif.removeprefix(EXIF_LETTERS))
        if name == b"IDAT":
            break
        start += 8 + length + 4
    return UPRIGHT


def turned_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turns an image, [height, width, channels], upright; height and width change places for 5 to 8."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in FLIPPED_LEFT_RIGHT:
        image = image[:, ::-1]
    return image[::-1] if orientation in FLIPPED_UP_DOWN else image


def _orientation_in(tiff: bytes) -> int:
    order = "little" if tiff[:1] == b"I" else "big"

    def number16(index: int) -> int:  # behind the end: 0
        return int.from_bytes(tiff[index : index + 2].ljust(2, b"\0"), order)  # type: ignore[arg-type]

    # An offset has 32 bits; over 16 it points outside the header.
    directory = number16(4 if order == "little" else 6)
    entries = [
        directory + 2 + 12 * entry for entry in range(min(number16(directory), MOST_ENTRIES))
    ]
    found = [number16(entry + 8) for entry in entries if number16(entry) == ORIENTATION_TAG]
    return value if 1 <= (value := max(found, default=0)) <= 8 else UPRIGHT
