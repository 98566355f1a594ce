"""The three stores of pictures give the same pixels; a split keeps labels and ids beside them."""

import numpy as np
import pytest
import tensorflow as tf

from tl_toolkit.data.dataset import (
    ArrayImages,
    EncodedImages,
    FileImages,
    ImageDataset,
    ImageSource,
    Split,
)
from tl_toolkit.errors import InputError

COUNT = 5


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 6, 7, 3), np.uint8)


@pytest.fixture(params=["array", "encoded", "file"])
def images(request, pixels, tmp_path):
    files = [tf.io.encode_png(image).numpy() for image in pixels]
    if request.param == "array":
        return ArrayImages(pixels)
    if request.param == "encoded":
        return EncodedImages(np.array(files, object))
    paths = [tmp_path / f"größe {n}.png" for n in range(COUNT)]
    for path, contents in zip(paths, files, strict=True):
        path.write_bytes(contents)
    return FileImages(np.array([str(path) for path in paths]))


@pytest.mark.slow
def test_every_store_loads_its_pixels_by_number(images, pixels):
    load = tf.function(
        lambda number: images.loader()(number).pixels(),
        input_signature=[tf.TensorSpec([], tf.int64)],
    )
    assert len(images) == COUNT
    for number in range(COUNT):
        loaded = load(number)
        assert loaded.dtype == tf.uint8
        np.testing.assert_array_equal(loaded, pixels[number])


def test_every_store_hands_out_a_file_that_decodes_to_its_pixels(images, pixels):
    contents = images.encoded(3)
    assert isinstance(contents, bytes)
    np.testing.assert_array_equal(tf.io.decode_image(contents), pixels[3])


def test_taking_some_keeps_their_order(images, pixels):
    some = images.take(np.array([4, 1]))
    load = some.loader()
    assert len(some) == 2
    np.testing.assert_array_equal(load(tf.constant(0)).pixels(), pixels[4])
    np.testing.assert_array_equal(load(tf.constant(1)).pixels(), pixels[1])


def test_a_split_counts_its_ids_from_the_first_and_keeps_them_when_taken(pixels):
    split = Split.of(ArrayImages(pixels), [0, 1, 2, 1, 0], first_id=10)
    assert split.ids.tolist() == [10, 11, 12, 13, 14]
    taken = split.take([3, 0]).take([1])
    assert len(taken) == 1
    assert (taken.ids.tolist(), taken.labels.tolist()) == ([10], [0])
    assert (split.labels.dtype, split.ids.dtype) == (np.int64, np.int64)
    np.testing.assert_array_equal(taken.images.pixels, pixels[:1])


def test_a_split_of_nothing_is_empty(pixels):
    empty = Split.of(ArrayImages(pixels), [0, 1, 2, 1, 0]).take([])
    assert (len(empty), len(empty.images), empty.ids.dtype) == (0, 0, np.int64)


@pytest.mark.parametrize(("validation", "images"), [([1], 1), (None, 0)])
def test_the_summary_counts_classes_and_images(pixels, validation, images):
    split = Split.of(ArrayImages(pixels), [0, 1, 0, 1, 0])
    dataset = ImageDataset(
        uri="toy",
        class_names=("a", "b"),
        train=split.take([0, 2]),
        validation=None if validation is None else split.take(validation),
        test=split.take([3, 4]),
    )
    assert dataset.summary() == (
        f"toy: 2 classes; 2 training, {images} validation and 2 test images"
    )


def test_an_augmentation_that_there_is_not_is_refused(pixels):
    split = Split.of(ArrayImages(pixels), np.zeros(COUNT))
    message = r"Unknown augmentation 'phtoo'\. Did you mean 'photo'"
    with pytest.raises(InputError, match=message):
        ImageSource(class_names=("a",), train=split, augmentation="phtoo")
    with pytest.raises(InputError, match=message):
        ImageDataset("mine", ("a",), train=split, validation=None, test=split, augmentation="phtoo")
