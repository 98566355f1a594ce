"""A finished run of which any file is damaged: who reads the file refuses it by its name, and nobody else minds."""

import shutil
import types

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from damage import FEW, KINDS, damage, files_of, randoms
from hypothesis import given

import tl_toolkit as tl
from tl_toolkit.data.seen_images import read_seen_images
from tl_toolkit.experiments import evaluate_exported as evaluate_module
from tl_toolkit.experiments.pin_file import read_pin
from tl_toolkit.experiments.run_folder import MARKER, check_output
from tl_toolkit.experiments.run_inputs import seen_by_the_weights
from tl_toolkit.files.manifest import MANIFEST
from tl_toolkit.weights.resolve import open_weights

OF_SAVED_MODEL = f"saved_model/{MANIFEST}"


class Loaded(Exception):  # noqa: N818  it is what the tests wait for
    """TensorFlow was asked to load a SavedModel, which takes seconds."""


def loads(folder):
    try:
        tl.load_classifier(folder)
    except Loaded as loaded:
        return str(loaded)
    raise AssertionError("nothing was loaded")


def tensors(path):
    source = open_weights(path)
    read = source.read_tensors()
    return source.spec.architecture, {name: array.tobytes() for name, array in read.items()}


def check_output_is_replaceable(folder):
    check_output(folder, overwrite=True)


# Everything of this toolkit that reads a finished run, but for `verify`, which reads it all.
READERS = {
    "predict": loads,
    "evaluate": lambda folder: (loads(folder), read_seen_images(folder / "saved_model")),
    "predict, the SavedModel alone": lambda folder: loads(folder / "saved_model"),
    "--weights RUN": tensors,
    "--weights RUN/model.keras": lambda folder: tensors(folder / "model.keras"),
    "images seen by the weights": lambda folder: seen_by_the_weights(
        tl.Recipe(data="digits", strategy=tl.NewHead(), weights=str(folder))
    ),
    "--recipe": lambda folder: tl.Recipe.load(folder / "recipe.json"),
    "weights of the recipe": lambda folder: read_pin(folder / "recipe.json"),
    "paired": lambda folder: str(tl.paired_test(folder, folder)),
    "--overwrite": check_output_is_replaceable,
}


def reads(name):
    """Which of them read a file, and so may refuse it."""
    if name == MANIFEST:
        return {
            "--weights RUN",
            "--weights RUN/model.keras",
            "--recipe",
            "weights of the recipe",
            "paired",
        }
    if name == OF_SAVED_MODEL:
        return {
            "predict",
            "predict, the SavedModel alone",
            "evaluate",
            "images seen by the weights",
        }
    if name.endswith("seen_images.txt"):
        return {"evaluate", "images seen by the weights"}
    if name.startswith("saved_model/"):
        return {"predict", "predict, the SavedModel alone", "evaluate"}
    return {
        "model.keras": {"--weights RUN", "--weights RUN/model.keras"},
        "weights.json": {"--weights RUN"},
        "recipe.json": {"--recipe"},
        "test_answers.csv": {"paired"},
        "recipe.weights.json": {"weights of the recipe"},
        MARKER: {"--overwrite"},
    }.get(name, set())


@pytest.fixture(scope="module")
def copied(finished_run, tmp_path_factory):
    """A copy of the finished run, elsewhere."""
    return shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("copied") / "run")


@pytest.fixture
def no_loads(monkeypatch):
    def load(folder):
        raise Loaded(folder)

    monkeypatch.setattr(tf.saved_model, "load", load)


def refusals(folder):
    """The messages of the readers that refuse, and what the others return."""
    messages, values = {}, {}
    for name, read in READERS.items():
        try:
            values[name] = read(folder)
        except tl.InputError as error:
            messages[name] = str(error)
    return messages, values


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(where=randoms)
def test_who_reads_a_damaged_file_refuses_it_and_the_others_read_what_was_written(
    copied, no_loads, kind, where
):
    none, expected = refusals(copied)
    assert none == {}
    names = files_of(copied)
    assert len(names) >= 18
    for name in names:
        with damage(copied / name, kind, where) as is_other:
            messages, values = refusals(copied)
            assert values == {reader: expected[reader] for reader in values}, name
            assert set(messages) <= reads(name), name
            # Of these three it counts what they say: white space may be another.
            if messages or name not in (MANIFEST, OF_SAVED_MODEL, MARKER):
                assert set(messages) == (reads(name) if is_other else set()), name
            for message in messages.values():
                named = str(copied / name) if name != MARKER else str(copied)
                assert named in message, (name, message)
            if name == MANIFEST and messages:
                with pytest.raises(tl.InputError, match=f"{MANIFEST}' is damaged"):
                    tl.verify(copied)
                continue
            found = tl.verify(copied)
            assert set(found.damaged) == ({name} if is_other and name != MANIFEST else set())
            assert not found.missing


def test_evaluate_does_not_count_images_of_a_damaged_list(copied, photos, monkeypatch):
    classifier = types.SimpleNamespace(
        path=copied / "saved_model",
        class_names=("blue", "green", "red"),
        thresholds=None,
        value_range=None,
    )
    monkeypatch.setattr(evaluate_module, "load_classifier", lambda path: classifier)
    seen = copied / "saved_model" / "assets.extra" / "seen_images.txt"
    with (
        damage(seen, "cut"),
        pytest.raises(tl.InputError, match=r"seen_images\.txt' is damaged: it has \d+ bytes and"),
    ):
        evaluate_module.evaluate_exported(copied, f"folder:{photos}")


def test_a_run_from_weights_with_a_damaged_list_ends_before_it_trains(
    copied, photo_recipe, tmp_path
):
    seen = copied / "saved_model" / "assets.extra" / "seen_images.txt"
    recipe = photo_recipe.replace(weights=str(copied))
    with damage(seen, "emptied"):
        with pytest.raises(tl.InputError, match=r"seen_images\.txt' is damaged"):
            tl.run(recipe, tmp_path / "run")
        with pytest.raises(tl.InputError, match=r"seen_images\.txt' is damaged"):
            tl.compare([recipe], seeds=1, output=tmp_path / "comparison")
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_that_was_changed_on_purpose_is_trained_from_a_copy(copied, tmp_path):
    path = copied / "recipe.json"
    text = path.read_text()
    path.write_text(text.replace('"epochs": 12', '"epochs": 13'))
    try:
        with pytest.raises(tl.InputError, match="give a copy of it outside this folder"):
            tl.Recipe.load(path)
        shutil.copy(path, tmp_path / "mine.json")
        shutil.copy(copied / "recipe.weights.json", tmp_path / "mine.weights.json")
    finally:
        path.write_text(text)
    assert tl.Recipe.load(tmp_path / "mine.json").epochs == 13
    assert read_pin(tmp_path / "mine.json") == read_pin(path)


def test_files_of_the_users_in_a_finished_run_change_nothing(copied, photos):
    (copied / "notes.txt").write_text("mine")
    (copied / "saved_model" / "notes.txt").write_text("mine")
    try:
        found = tl.verify(copied)
        assert (found.is_whole, found.unknown) == (True, ("notes.txt", "saved_model/notes.txt"))
        assert tl.load_classifier(copied).predict(photos / "red" / "0.jpg")[0].class_name == "red"
    finally:
        (copied / "notes.txt").unlink()
        (copied / "saved_model" / "notes.txt").unlink()


@pytest.mark.parametrize("name", ["saved_model.pb", "assets.extra/model_card.json"])
@pytest.mark.parametrize("kind", ["cut", "emptied"])
def test_a_damaged_saved_model_of_an_earlier_version_is_named(finished_run, tmp_path, name, kind):
    """It has no manifest: TensorFlow or JSON find out."""
    folder = shutil.copytree(finished_run.folder / "saved_model", tmp_path / "saved_model")
    (folder / MANIFEST).unlink()
    with (
        damage(folder / name, kind),
        pytest.raises(tl.InputError, match=r"The SavedModel '.*' cannot be read: .*train again"),
    ):
        tl.load_classifier(folder)


def test_a_run_of_an_earlier_version_works_as_before(finished_run, photos, tmp_path):
    folder = shutil.copytree(finished_run.folder, tmp_path / "run")
    (folder / MANIFEST).unlink()
    (folder / OF_SAVED_MODEL).unlink()
    classifier = tl.load_classifier(folder)
    assert classifier.predict(photos / "red" / "0.jpg")[0].class_name == "red"
    assert tl.Recipe.load(folder / "recipe.json") == finished_run.recipe
    assert tensors(folder) == tensors(finished_run.folder)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@hypothesis.settings(FEW, max_examples=max(1, FEW.max_examples // 5))
@given(where=randoms)
def test_every_command_ends_in_a_message_or_as_with_whole_files(copied, photos, kind, where):
    """The same, with everything loaded that the commands load."""
    photo = photos / "red" / "0.jpg"
    commands = {
        "predict": lambda: tl.load_classifier(copied).predict(photo),
        "evaluate": lambda: evaluate_module.evaluate_exported(copied, f"folder:{photos}"),
        "load_model": lambda: [
            w.numpy().tobytes() for w in tl.load_model(copied / "model.keras").weights
        ],
    }

    def outcome(command):
        try:
            return repr(command())
        except tl.InputError as error:
            return str(error)

    expected = {name: outcome(command) for name, command in commands.items()}
    assert "48 images are left out" in expected["evaluate"]
    read = {"model.keras": {"load_model"}}
    for name in files_of(copied):
        with damage(copied / name, kind, where) as is_other:
            for command, call in commands.items():
                result = outcome(call)
                of_all = read.get(name, reads(name))
                if result != expected[command]:
                    assert str(copied / name) in result, (name, command)
                    assert command in of_all or name == MANIFEST, (name, command)
                else:
                    assert command not in of_all or not is_other or MANIFEST in name, (
                        name,
                        command,
                    )
    assert np.isfinite(tl.load_model(copied / "model.keras").weights[0]).all()
