"""ImagePreprocessing prepares images as each weight set's own code does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tl_toolkit.catalog import PREPROCESSING, Preprocessing
from tl_toolkit.errors import InputError
from tl_toolkit.models.preprocessing import ImagePreprocessing

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 3)).astype("float32")


def torchvision(pixels):
    """`ToTensor` and `Normalize` of torchvision's ImageNet recipes, channels last."""
    return (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


REFERENCES = {
    "caffe": lambda pixels: keras.applications.resnet.preprocess_input(pixels.copy()),
    "imagenet": torchvision,
    "rescale": lambda pixels: pixels / 127.5 - 1,
}


def model_of(record):
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, ImagePreprocessing(record, name="preprocessing")(inputs))


@pytest.mark.parametrize("name", PREPROCESSING)
def test_every_record_is_its_source_s_own_formula(name):
    y = ImagePreprocessing(PREPROCESSING[name])(IMAGES)
    assert y.dtype == tf.float32
    np.testing.assert_allclose(y, REFERENCES[name](IMAGES), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "black", "white"),
    [
        ("rescale", [-1, -1, -1], [1, 1, 1]),
        ("imagenet", [-2.117904, -2.035714, -1.804444], [2.248908, 2.428571, 2.64]),
        ("caffe", [-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]),
    ],
)
def test_black_and_white_are_the_published_ends_of_the_range(name, black, white):
    pixels = np.array([[[[0, 0, 0], [255, 255, 255]]]], "uint8")
    y = ImagePreprocessing(PREPROCESSING[name])(pixels)
    np.testing.assert_allclose(np.reshape(y, (2, 3)), [black, white], atol=1e-5)


@pytest.mark.parametrize(("order", "expected"), [("rgb", [9, 38, 87]), ("bgr", [89, 38, 7])])
def test_mean_and_std_are_given_in_the_networks_channel_order(order, expected):
    record = Preprocessing(order, scale=1.0, mean=(1, 2, 3), std=(1, 1, 1))
    y = ImagePreprocessing(record)(np.array([[[[10, 40, 90]]]], "float32"))
    np.testing.assert_array_equal(np.reshape(y, 3), expected)
    halved = ImagePreprocessing(Preprocessing(order, 1.0, (1, 2, 3), (1, 2, 4)))
    y = halved(np.array([[[[10, 40, 90]]]], "float32"))
    np.testing.assert_array_equal(np.reshape(y, 3), np.divide(expected, (1, 2, 4)))


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", PREPROCESSING)
def test_half_precision_rounds_only_the_result(name, dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        model = model_of(PREPROCESSING[name])
    finally:
        keras.config.set_dtype_policy("float32")
    half = dtype.removeprefix("mixed_")
    assert model.output.dtype == half
    y = model(IMAGES)
    assert y.dtype == half
    expected = ImagePreprocessing(PREPROCESSING[name])(IMAGES)
    np.testing.assert_array_equal(
        tf.cast(y, "float32"), tf.cast(tf.cast(expected, half), "float32")
    )


def test_resized_pixels_half_a_step_apart_stay_distinct_under_bfloat16():
    # In bfloat16 the pixels themselves would be 254, 254, 255 and the mean 250; the results are exact.
    pixels = np.array([[[[254.0] * 3, [254.5] * 3, [255.0] * 3]]], "float32")
    record = Preprocessing(scale=1.0, mean=(250.25, 250.25, 250.25))
    y = ImagePreprocessing(record, dtype="mixed_bfloat16")(pixels)
    np.testing.assert_array_equal(tf.cast(y[0, 0, :, 0], "float32"), [3.75, 4.25, 4.75])


@pytest.mark.parametrize("copy", ["load_model", "clone_model"])
@pytest.mark.parametrize("name", PREPROCESSING)
def test_copies_of_a_model_keep_the_record(name, copy, tmp_path):
    model = model_of(PREPROCESSING[name])
    if copy == "load_model":
        model.save(tmp_path / "model.keras")
        copied = keras.models.load_model(tmp_path / "model.keras")
    else:
        copied = keras.models.clone_model(model)
    layer = copied.get_layer("preprocessing")
    assert layer is not model.get_layer("preprocessing")
    assert layer.record == PREPROCESSING[name]
    np.testing.assert_array_equal(copied(IMAGES), model(IMAGES))


def test_the_layer_has_no_weights_even_when_a_model_is_unfrozen():
    model = model_of(PREPROCESSING["caffe"])
    model.trainable = True
    assert model.weights == []
    layer = model.get_layer("preprocessing")
    assert layer.get_config()["record"]["mean"] == (103.939, 116.779, 123.68)
    restored = ImagePreprocessing.from_config(layer.get_config())
    assert restored.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(type(layer)) == "tl_toolkit>ImagePreprocessing"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channel_order": "grb"}, "channel order 'grb'.*Did you mean '(rgb|bgr)'"),
        ({"interpolation": "bicubical"}, "'bicubical'.*Did you mean 'bicubic'"),
        ({"resize": "squish"}, "'squish'.*Did you mean 'squash'"),
        ({"mean": (0.5,)}, r"`mean` and `std`.*mean=\(0\.5,\)"),
        ({"std": (1, 0, 1)}, r"no standard deviation may be 0.*std=\(1\.0, 0\.0, 1\.0\)"),
        ({"image_size": 4}, "`image_size`.*8 pixels.*4"),
        ({"crop_fraction": 0}, "`crop_fraction`.*0"),
        ({"crop_fraction": 1.5}, r"`crop_fraction`.*1\.5"),
    ],
    ids=str,
)
def test_an_impossible_record_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Preprocessing(**fields)
    with pytest.raises(InputError, match=message):
        ImagePreprocessing(fields)
