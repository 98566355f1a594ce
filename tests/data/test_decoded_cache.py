"""Images held in memory give the pictures that their files give, and only where they are small."""

import io

import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from PIL import Image

from tl_toolkit.catalog import AUGMENTATIONS, Preprocessing
from tl_toolkit.data import evaluation_batches, pipeline
from tl_toolkit.data.augment import augment_and_resize, coarse_from
from tl_toolkit.data.dataset import ArrayImages, EncodedImages, FileImages, Split
from tl_toolkit.data.decoded_cache import decoded_loader
from tl_toolkit.data.lazy_image import DecodedImage, EncodedLazyImage
from tl_toolkit.data.pipeline import training_batches

SIZES = [(20, 31), (25, 24), (9, 40), (30, 21)]
SIDE = 16
BYTES = sum(3 * height * width for height, width in SIZES)


def encoded(kind, sizes=SIZES):
    random = np.random.default_rng(0)
    contents = []
    for height, width in sizes:
        buffer = io.BytesIO()
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(buffer, kind)
        contents.append(buffer.getvalue())
    return EncodedImages(np.array(contents, object))


def first_of(load):
    return load(tf.constant(0, tf.int64))


@pytest.mark.slow
@pytest.mark.parametrize("kind", long_after(1, ["PNG", "JPEG"]))
def test_every_picture_is_what_its_file_holds(kind):
    images = encoded(kind)
    load, load_file = decoded_loader(images, 32, BYTES), images.loader()
    for number in range(len(images)):
        lazy_image = load(tf.constant(number, tf.int64))
        assert isinstance(lazy_image, DecodedImage)
        expected = load_file(tf.constant(number, tf.int64)).pixels()
        np.testing.assert_array_equal(lazy_image.pixels(), expected)


def test_what_does_not_fit_is_read_as_before():
    assert isinstance(first_of(decoded_loader(encoded("PNG"), 32, BYTES - 1)), EncodedLazyImage)


@pytest.mark.slow
def test_jpegs_of_which_a_coarse_decoding_is_enough_are_not_kept_and_other_formats_are():
    sizes = [*SIZES, (32, 40)]
    assert isinstance(first_of(decoded_loader(encoded("JPEG", sizes), 32)), EncodedLazyImage)
    assert isinstance(first_of(decoded_loader(encoded("JPEG", sizes), 33)), DecodedImage)
    assert isinstance(first_of(decoded_loader(encoded("PNG", sizes), 32)), DecodedImage)


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(preset, marks=[] if preset == "photo" else pytest.mark.long)
        for preset in AUGMENTATIONS
    ],
)
def test_a_kept_jpeg_s_views_are_those_of_its_file(preset):
    augmentation = AUGMENTATIONS[preset]
    side = int(coarse_from(augmentation, 64)) - 1
    images = encoded("JPEG", [(side, side + 9)])
    from_pixels, from_file = decoded_loader(images, coarse_from(augmentation, 64)), images.loader()
    assert isinstance(first_of(from_pixels), DecodedImage)
    for view in range(12):
        arguments = (augmentation, Preprocessing(image_size=64), 1, 2, view)
        kept = augment_and_resize(first_of(from_pixels), *arguments)
        np.testing.assert_allclose(
            kept, augment_and_resize(first_of(from_file), *arguments), atol=5e-3
        )


@pytest.mark.slow
def test_what_is_decoded_at_the_start_is_shown(recorded_progress):
    split = Split.of(encoded("PNG"), [0, 1, 0, 1])
    preprocessing = Preprocessing(image_size=SIDE)
    options = {"batch_size": 3, "progress": recorded_progress}
    training_batches(split, preprocessing, None, epochs=2, seed=0, **options)
    kept = evaluation_batches.decoded_evaluation_batches(split, preprocessing, **options)
    assert [labels.numpy().tolist() for _, labels in kept] == [[0, 1, 0], [1]]
    assert recorded_progress.stages == [("Decoding images", 4, 4)] * 2


def test_arrays_are_not_copied():
    images = ArrayImages(np.zeros((3, 8, 8, 3), np.uint8))
    np.testing.assert_array_equal(decoded_loader(images, SIDE, 0)(tf.constant(1)).pixels(), 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", long_after(1, ["JPEG", "PNG"]))
def test_a_file_is_read_once_for_all_epochs_and_a_resumed_run_sees_the_same(tmp_path, kind):
    paths = []
    for number, contents in enumerate(encoded(kind).contents):
        paths.append(tmp_path / f"{number}.{kind}")
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

    last = [images.numpy() for images, _, _ in batches(first_epoch=2)]
    kept = batches(first_epoch=0)
    for path in paths:
        path.unlink()
    found = [images.numpy() for images, _, _ in kept]
    assert len(found) == 6
    for actual, expected in zip(found[4:], last, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
def test_a_run_of_one_epoch_keeps_nothing(monkeypatch):
    monkeypatch.setattr(pipeline, "decoded_loader", None)
    split = Split.of(encoded("PNG"), [0, 1, 0, 1])
    batches = training_batches(
        split, Preprocessing(image_size=SIDE), None, batch_size=4, epochs=1, seed=1
    )
    assert [len(images) for images, _, _ in batches] == [4]
