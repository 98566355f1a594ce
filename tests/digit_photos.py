"""The UCI digits as photos that audits look at."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def digit_photos(count):
    """Returns the first images, RGB, 64 px, and which digits they show."""
    digits = load_digits()
    grey = np.rint(digits.images[:count] * (255 / 16)).astype(np.uint8)
    images = [Image.fromarray(image).convert("RGB").resize((64, 64), 3) for image in grey]
    return images, digits.target[:count].copy()
