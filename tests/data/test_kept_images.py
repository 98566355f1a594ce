"""Images held in memory give the pictures that their files give, and only where they are small."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.augment import AUGMENTATIONS
from tl_toolkit.data.dataset import ArrayImages, EncodedImages, FileImages, Split
from tl_toolkit.data.kept_images import kept_loader
from tl_toolkit.data.picture import EncodedPicture, Pixels
from tl_toolkit.data.pipeline import training_batches

SIZES = [(20, 31), (25, 24), (9, 40), (30, 21)]
SIDE = 16


def encoded(kind, sizes=SIZES):
    random = np.random.default_rng(0)
    contents = []
    for height, width in sizes:
        buffer = io.BytesIO()
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(buffer, kind)
        contents.append(buffer.getvalue())
    return EncodedImages(np.array(contents, object))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_every_picture_is_what_its_file_holds(kind):
    images = encoded(kind)
    load, load_file = kept_loader(images, SIDE), images.loader()
    for number in range(len(images)):
        picture = load(tf.constant(number, tf.int64))
        assert isinstance(picture, Pixels)
        expected = load_file(tf.constant(number, tf.int64)).pixels()
        np.testing.assert_array_equal(picture.pixels(), expected)


@pytest.mark.parametrize(
    ("sizes", "limit"),
    [(SIZES, sum(3 * h * w for h, w in SIZES) - 1), ([*SIZES, (32, 40)], 2**30)],
    ids=["too many bytes", "twice the size"],
)
def test_what_does_not_fit_is_read_as_before(sizes, limit):
    load = kept_loader(encoded("PNG", sizes), SIDE, limit)
    assert isinstance(load(tf.constant(0, tf.int64)), EncodedPicture)
    assert isinstance(kept_loader(encoded("PNG"), SIDE, limit + 1)(tf.constant(0)), Pixels)


def test_arrays_are_not_copied():
    images = ArrayImages(np.zeros((3, 8, 8, 3), np.uint8))
    np.testing.assert_array_equal(kept_loader(images, SIDE, 0)(tf.constant(1)).pixels(), 0)


def test_a_file_is_read_once_for_all_epochs_and_the_batches_are_the_same(tmp_path):
    paths = []
    for number, contents in enumerate(encoded("PNG").contents):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(contents)
    split = Split.of(FileImages(np.array([str(path) for path in paths])), [0, 1, 0, 1])

    def batches(first_epoch, epochs=3):
        return training_batches(
            split,
            Preprocessing(image_size=SIDE),
            AUGMENTATIONS["photo"],
            batch_size=2,
            epochs=epochs,
            seed=1,
            first_epoch=first_epoch,
        )

    last = [images.numpy() for images, _, _ in batches(first_epoch=2)]  # one epoch: not kept
    kept = batches(first_epoch=0)
    for path in paths:
        path.unlink()
    found = [images.numpy() for images, _, _ in kept]
    assert len(found) == 6
    for actual, expected in zip(found[4:], last, strict=True):
        np.testing.assert_array_equal(actual, expected)
