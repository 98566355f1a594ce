"""Photos of coloured patches with several labels each, and a recipe that learns them in seconds."""

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.data import open as open_module
from tl_toolkit.data.dataset import ArrayImages, ImageSource, Split

NAMES = (
    "red",
    "bright corner",
    "blue|edge",
)  # in no order of the alphabet, one with a sign between labels
URI = "patches"


def patches(count=150, seed=0):
    """uint8[count, 16, 16, 3], and uint8[count, 3]: a third, a half and a fifth have each label."""
    random = np.random.default_rng(seed)
    labels = (random.random((count, 3)) < [0.33, 0.5, 0.2]).astype(np.uint8)
    pixels = random.normal(90, 50, (count, 16, 16, 3))
    pixels[labels[:, 0] > 0, 4:12, 4:12, 0] += 110
    pixels[labels[:, 1] > 0, :6, :6] += 110
    pixels[labels[:, 2] > 0, 12:, :, 2] += 140
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def source():
    pixels, labels = patches()
    return ImageSource(NAMES, Split.of(ArrayImages(pixels), labels))


@pytest.fixture
def patches_uri(monkeypatch):
    """A data URI that opens them."""
    monkeypatch.setitem(open_module.SOURCES, URI, source)
    return URI


def recipe(weights, strategy, **choices):
    defaults = {"precision": "float32", "augmentation": "none", "seed": 3}
    return tl.Recipe(data=URI, strategy=strategy, weights=str(weights), **{**defaults, **choices})
