"""Small pictures: in memory, as files' contents, and as folders of class folders."""

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tl_toolkit.progress import Progress, Stage


def random_photo(seed, width=17, height=13, mode="RGB"):
    channels = {"1": (), "L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, *channels), np.uint8)
    if mode == "1":
        return Image.fromarray(pixels).point(lambda grey: 255 * (grey > 127)).convert("1")
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state, and clearing it takes a third of a second a test."""


@pytest.fixture(scope="session")
def photo():
    """A function from (seed, width, height, mode) to an image of random pixels."""
    return random_photo


@pytest.fixture(scope="session")
def encoded():
    """A function from (image, format, options of PIL) to a file's contents."""
    return encode


@pytest.fixture
def image_folder(tmp_path):
    """A function that writes `{"cat": 3, "train/dog": 2}`, numbers of pictures by folder.

    No two pictures are the same. Returns the root.
    """
    root = tmp_path / "photos"

    def write(counts, suffix=".jpg"):
        seed = 0
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                contents = encode(random_photo(seed), "JPEG" if suffix == ".jpg" else "PNG")
                (root / folder / f"{number}{suffix}").write_bytes(contents)
                seed += 1
        return root

    return write


class RecordedProgress(Progress):
    """Keeps (title, total, units done) of every stage."""

    def __init__(self):
        self.stages = []

    @contextlib.contextmanager
    def stage(self, title, total=None, done=0):
        counted = CountingStage(done)
        yield counted
        self.stages.append((title, total, counted.done))


class CountingStage(Stage):
    def __init__(self, done):
        self.done = done

    def advance(self, count=1):
        self.done += count


@pytest.fixture
def recorded_progress():
    return RecordedProgress()


@pytest.fixture
def tuned_pipelines(monkeypatch):
    """Of every `tf.data` pipeline that an iterator is made of, whether its parallelism is tuned."""
    tuned, make_iterator = [], tf.data.Dataset.__iter__

    def noted(dataset):
        tuned.append(dataset.options().autotune.enabled is not False)
        return make_iterator(dataset)

    monkeypatch.setattr(tf.data.Dataset, "__iter__", noted)
    return tuned
