"""A run is resumed or repeated with the same images, weights and packages, or says what differs."""

import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import TINY, randomise, write_safetensors

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING, WeightSpec
from tl_toolkit.cli.recipe_flags import pin_of
from tl_toolkit.errors import StoppedError
from tl_toolkit.experiments import identity as identity_module
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.identity import data_identity, run_identity
from tl_toolkit.experiments.pin_file import pin_file, read_pin
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.weights import resolve


class StopAtOnce(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        os.kill(os.getpid(), signal.SIGINT)


def stopped(recipe, folder):
    with pytest.raises(StoppedError):
        train_and_validate(recipe, Context(checkpoints=folder, callbacks=(StopAtOnce(),)))


@pytest.fixture
def mine(photos, photo_recipe, tmp_path):
    """A recipe on a copy of the photos, and the folder of the copy."""
    root = tmp_path / "mine"
    shutil.copytree(photos, root)
    return photo_recipe.replace(data=f"folder:{root}", epochs=2), root


def swapped(one, other):
    contents = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(contents)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", pytest.param("validation", marks=pytest.mark.long)])
def test_other_images_in_the_same_numbers_are_not_resumed_from(mine, tmp_path, split):
    recipe, _ = mine
    before = prepare(recipe)
    images = getattr(before.dataset, split).images.paths
    same_class = [path for path in images if "/red/" in path][:2]
    stopped(recipe, tmp_path / "checkpoints")
    # Counts, sums of ids and labels, and the sizes of all files together are what they were.
    swapped(pathlib.Path(same_class[0]), pathlib.Path(same_class[1]))
    with pytest.raises(tl.InputError, match="another run: it differs in data"):
        train_and_validate(recipe, Context(checkpoints=tmp_path / "checkpoints"))
    swapped(pathlib.Path(same_class[0]), pathlib.Path(same_class[1]))
    assert run_identity(prepare(recipe)) == run_identity(before)


def test_the_identity_of_data_holds_contents_labels_and_sizes(photo_recipe):
    dataset = prepare(photo_recipe).dataset
    usual = data_identity(dataset)
    assert usual["images"] == {"train": 39, "validation": 9, "test": 12}
    labels = dataset.validation.labels.copy()
    labels[[0, -1]] = labels[[-1, 0]]
    relabelled = dataclasses.replace(dataset.validation, labels=labels)
    changed = data_identity(dataclasses.replace(dataset, validation=relabelled))
    assert {name for name in usual if usual[name] != changed[name]} == {"validation"}
    fewer = dataclasses.replace(dataset, test=dataset.test.take([0, 1]))
    assert data_identity(fewer)["images"]["test"] == 2


@pytest.mark.slow
def test_other_packages_are_not_resumed_with(photo_recipe, tmp_path, monkeypatch):
    recipe = photo_recipe.replace(epochs=2)
    stopped(recipe, tmp_path)
    versions = {**identity_module.package_versions(), "tensorflow": "2.99"}
    monkeypatch.setattr(identity_module, "package_versions", lambda: versions)
    with pytest.raises(tl.InputError, match="differs in package versions"):
        train_and_validate(recipe, Context(checkpoints=tmp_path))


def test_an_identity_is_plain_json_and_comes_back_equal(photo_recipe):
    identity = run_identity(prepare(photo_recipe))
    assert json.loads(json.dumps(identity)) == identity


def tiny_weights_of(seed, path):
    preprocessing = dataclasses.replace(PREPROCESSING["imagenet"], image_size=16)
    model = randomise(assemble_classifier(TINY, preprocessing, 7), seed)
    return write_safetensors(path, model, WeightSpec("tiny", TINY, preprocessing, (), 7))


@pytest.mark.long
def test_what_imagenet_stood_for_is_what_a_repeated_run_uses(photo_recipe, tmp_path, monkeypatch):
    one, other = (tiny_weights_of(n, tmp_path / f"{n}.safetensors") for n in (1, 2))
    best = [one]

    def open_imagenet(_):
        found = resolve.open_weights(best[0])
        spec = dataclasses.replace(found.spec, name=str(best[0]))  # a name that can be opened again
        return dataclasses.replace(found, spec=spec)

    monkeypatch.setattr(resolve, "_open_imagenet", open_imagenet)
    recipe = photo_recipe.replace(weights="imagenet", epochs=1)
    first = train_and_validate(recipe, Context(checkpoints=tmp_path / "a"))
    pin = read_pin(tmp_path / "a" / "recipe.json")
    assert (pin.asked, pin.name) == ("imagenet", str(one))

    best[0] = other  # another set is in the cache now
    again = train_and_validate(recipe, Context(weights=pin))
    kernel = "conv1_conv/kernel"
    values = [{v.path: v.numpy() for v in t.model.variables} for t in (first, again)]
    np.testing.assert_array_equal(values[0][kernel], values[1][kernel])
    assert first.validation == again.validation
    anew = prepare(recipe)
    assert not np.array_equal(anew.model.get_layer("conv1_conv").kernel, values[0][kernel])

    shutil.copyfile(other, one)
    with pytest.raises(tl.InputError, match=r"whose sha256 is .* now has .*Restore that file"):
        train_and_validate(recipe, Context(weights=pin))


@pytest.mark.slow
def test_a_finished_run_says_what_its_weights_stood_for(finished_run, photo_recipe, tmp_path):
    path = finished_run.folder / "recipe.json"
    pin = read_pin(path)
    assert pin == pin_of(photo_recipe, path)
    assert pin.name == photo_recipe.weights
    assert f"(sha256 {pin.sha256})" in (finished_run.folder / "summary.md").read_text()
    assert pin_of(photo_recipe.replace(weights="digits"), path) is None
    shutil.copyfile(pin_file(path), pin_file(tmp_path / "r.json"))
    pin_file(tmp_path / "r.json").write_bytes(b'{"asked": "x"')
    with pytest.raises(tl.InputError, match=r"r\.weights\.json' is damaged"):
        read_pin(tmp_path / "r.json")


def test_the_callers_random_generators_are_left_alone(photo_recipe):
    def draw():
        return random.random(), np.random.random(), float(tf.random.uniform([]))

    def seed():
        random.seed(1)
        np.random.seed(1)
        tf.random.set_seed(1)

    seed()
    expected = draw()
    seed()
    train_and_validate(photo_recipe.replace(epochs=1))
    assert draw() == expected
