"""What tests share: one seed, a tiny pretrained network, photos that it can tell apart, a finished run."""

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING, Architecture, WeightSpec
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.weights import safetensors_file


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    keras.utils.set_random_seed(0)
    yield
    # Garbage collection takes longer than most tests.
    keras.backend.clear_session(free_memory=False)


TINY = Architecture("basic", (1, 1), width=4, stem="cifar")
COLOURS = {"blue": (30, 60, 220), "green": (40, 190, 60), "red": (220, 40, 30)}


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """A safetensors file of a two-block network with a head of seven classes."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    preprocessing = dataclasses.replace(PREPROCESSING["imagenet"], image_size=16)
    model = assemble_classifier(TINY, preprocessing, 7, zero_init_head=False)
    rng = np.random.default_rng(0)
    tensors = {}
    for variable in model.weights:
        value = variable.numpy()
        if variable.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, value.shape)
        elif variable.name in ("beta", "moving_mean", "bias"):
            value = rng.normal(0, 0.1, value.shape)
        tensors[variable.path] = value.astype(np.float32)
    spec = WeightSpec("tiny", TINY, preprocessing, tuple("abcdefg"), 7, licence="MIT")
    safetensors_file.write(path, tensors, spec)
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Three classes of JPEG photos of several sizes, told apart by colour."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for number in range(20):
            height, width = rng.integers(20, 48, 2)
            pixels = np.clip(rng.normal(colour, 25, (height, width, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.jpg", quality=90)
    return root


@pytest.fixture(scope="session")
def photo_recipe(photos, tiny_weights):
    """A recipe that learns those photos in a few steps."""
    return tl.Recipe(
        data=f"folder:{photos}",
        strategy=tl.NewHead(),
        weights=str(tiny_weights),
        epochs=12,
        batch_size=16,
        learning_rate=0.1,
        seed=3,
    )


@pytest.fixture(scope="session")
def finished_run(photo_recipe, tmp_path_factory):
    """The result of that recipe."""
    return tl.run(photo_recipe, tmp_path_factory.mktemp("runs") / "photos")
