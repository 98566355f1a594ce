"""Ten thousand damaged files of every format: each is read or refused in words, and none ends the process or hangs it."""

import subprocess
import sys

import pytest

FUZZ = """
import io, sys
import numpy as np
import pillow_heif
import tensorflow as tf
from PIL import Image
from tl_toolkit.data.decode import check_image
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.errors import InputError

KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO", "TGA", "SGI", "HEIF")
random = np.random.default_rng(0)
pillow_heif.register_heif_opener()
smooth = np.linspace(0, 255, 40 * 30 * 3).reshape(40, 30, 3).astype(np.uint8)
files = []
for kind in KINDS:
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, kind)
    files.append(file.getvalue())
read = refused = 0
for number in range(int(sys.argv[1])):
    contents = bytearray(files[number % len(files)])
    for _ in range(random.integers(1, 12)):
        # Headers are where damage does most.
        place = random.integers(len(contents) if random.random() < 0.5 else min(len(contents), 64))
        contents[place] = random.integers(256)
    if random.random() < 0.3:
        del contents[random.integers(len(contents)) :]
    try:
        check_image(decodable(bytes(contents)))
        read += 1
    except (InputError, tf.errors.OpError) as error:
        assert str(error)
        refused += 1
print(read, refused)
"""


@pytest.mark.parametrize("files", [130, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.slow
def test_damaged_files_are_read_or_refused(files):
    process = subprocess.run(
        [sys.executable, "-c", FUZZ, str(files)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    read, refused = map(int, process.stdout.split())
    assert read + refused == files
    assert min(read, refused) > files / 20
