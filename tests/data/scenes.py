"""Pictures as cameras take them: smooth, with edges, a little noise, and a JPEG's orientation."""

import io

import numpy as np
from PIL import Image


def scene(height, width, seed=0):
    """Smooth colours with an edge and a little noise, as photos have them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 60
    pixels = 128 + 90 * np.sin(np.stack([x + y, x - 1.3 * y, 2 * y], -1))
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (230, 40, 30)
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def jpeg(pixels, orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **{"quality": 92, "exif": exif, **options})
    return buffer.getvalue()
