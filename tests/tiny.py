"""Networks of a few hundred numbers, their weight files, and labelled pixels to train them on."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import PREPROCESSING, Architecture, WeightSpec
from tl_toolkit.data.parallelism import without_autotuning
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.models.resnet import build_resnet
from tl_toolkit.transfer.defaults import Hyperparameters
from tl_toolkit.weights import safetensors_file

SIDE = 16
TINY = Architecture("basic", (1, 1), width=4, stem="cifar")
BOTTLENECK = Architecture("bottleneck", (1, 1), width=4, stem="cifar")
PIXELS = dataclasses.replace(PREPROCESSING["rescale"], image_size=SIDE)


def randomise(model, seed=0):
    """Gives every weight a value of its own, batch statistics that normalise nothing away included."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.name in ("gamma", "moving_variance"):
            value = random.uniform(0.5, 1.5, variable.shape)
        elif variable.name == "kernel":
            value = random.normal(0, np.prod(variable.shape[:-1]) ** -0.5, variable.shape)
        else:
            value = random.normal(0, 0.3, variable.shape)
        variable.assign(value.astype(np.float32))
    return model


def network(architecture=TINY, seed=0, classes=5, **arguments):
    """A randomised ResNet on preprocessed images, with a head of `classes`."""
    shape = (SIDE, SIDE, 3)
    return randomise(
        build_resnet(architecture, input_shape=shape, classes=classes, **arguments), seed
    )


def classifier(architecture=TINY, seed=0, classes=3, **arguments):
    """A randomised classifier from raw pixels to logits."""
    return randomise(assemble_classifier(architecture, PIXELS, classes, **arguments), seed)


def with_dropout(model, rate=0.5):
    """The classifier with dropout between its features and its head: seed state is a variable too."""
    head = model.layers[-1]
    features = keras.layers.Dropout(rate, seed=7, name="dropout")(model.layers[-2].output)
    return keras.Model(model.input, head(features), name=model.name)


def values(model):
    """Every variable's value by path."""
    return {variable.path: variable.numpy() for variable in model.variables}


def assert_same_bits(actual, expected):
    """Asserts that two dicts of arrays are equal, bit for bit."""
    assert set(actual) == set(expected)
    different = [name for name in expected if actual[name].tobytes() != expected[name].tobytes()]
    assert different == []


def spec_of(architecture=TINY, **fields):
    """What a tiny weight file says of itself."""
    return WeightSpec(**{"name": "tiny", "architecture": architecture, "classes": 5, **fields})


def write_safetensors(path, model, spec=None, **replaced):
    """Writes a model's weights; keyword `replaced` holds arrays by name, or None to leave one out."""
    tensors = {variable.path: variable.numpy() for variable in model.weights} | replaced
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    safetensors_file.write(path, tensors, spec or spec_of())
    return path


def labelled_pixels(count=12, classes=3, seed=0):
    """Random images, labels that follow from their colour, and example weights of 1."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = random.uniform(0, 255, (count, SIDE, SIDE, 3))
    images[np.arange(count), :, :, labels % 3] *= 0.5
    return images.astype(np.float32), labels.astype(np.int64), np.ones(count, np.float32)


def batches(count=12, batch_size=4, seed=0):
    """Those images as a `tf.data.Dataset` of batches."""
    return without_autotuning(
        tf.data.Dataset.from_tensor_slices(labelled_pixels(count, seed=seed)).batch(batch_size)
    )


def hyperparameters(**fields):
    """Numbers of a run, for an optimizer."""
    usual = Hyperparameters(
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=0.0,
        batch_size=4,
        smallest_batch=4,
        epochs=3,
        steps_per_epoch=3,
        warmup_steps=0,
        bn_mode="adapt",
        bn_momentum=0.9,
        label_smoothing=0.0,
    )
    return dataclasses.replace(usual, **fields)
