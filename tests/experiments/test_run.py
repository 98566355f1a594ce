"""`run`: what it leaves, that it repeats, that it resumes, and that bad input leaves nothing."""

import csv
import dataclasses
import errno
import json
import os
import pathlib
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import assert_same_bits, values

import tl_toolkit as tl
from tl_toolkit.data import evaluation_batches
from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.seen_images import SEEN_IMAGES
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.errors import StoppedError
from tl_toolkit.experiments import run as run_module
from tl_toolkit.experiments.batch_source import distributed_batches, open_batch_source
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.run_folder import MARKER, default_folder
from tl_toolkit.experiments.run_inputs import seen_by_the_weights
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.files.manifest import MANIFEST
from tl_toolkit.progress import Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.transfer.network_pool import NetworkPool
from tl_toolkit.weights.resolve import open_weights

FILES = {
    "confusion_matrix.png",
    "contact_sheet.png",
    "held_back.png",
    "history.csv",
    "metrics.json",
    "model.keras",
    "model_card.md",
    "plan.json",
    "recipe.json",
    "recipe.weights.json",
    "report.html",
    "saved_model",
    "summary.md",
    "test_answers.csv",
    MANIFEST,
    MARKER,
    "reliability.png",
    "training_curves.png",
    "versions.json",
    "weights.json",
}


def test_a_finished_run_is_one_folder_with_everything_in_it(finished_run):
    assert {path.name for path in finished_run.folder.iterdir()} == FILES
    assert [p.name for p in finished_run.folder.parent.iterdir()] == [finished_run.folder.name]


def test_the_classifier_learns_the_photos_and_the_figures_agree(finished_run):
    metrics = json.loads((finished_run.folder / "metrics.json").read_text())
    assert metrics["test"] == finished_run.test
    assert finished_run.test["examples"] == 12
    assert finished_run.test["top1"] >= 0.9
    low, high = finished_run.test["top1_interval"]
    assert low <= finished_run.test["top1"] <= high
    confusion = np.array(finished_run.test["confusion_matrix"])
    assert confusion.sum() == 12
    assert np.trace(confusion) / 12 == pytest.approx(finished_run.test["top1"])
    assert set(finished_run.test["classes"]) == {"blue", "green", "red"}


def test_history_has_a_line_an_epoch_with_validation_beside(finished_run):
    with (finished_run.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert float(rows[0]["loss"]) > float(rows[-1]["loss"]) > 0
    assert {"val_loss", "val_top1", "val_balanced_accuracy", "learning_rate"} <= set(rows[0])


def test_recipe_json_gives_the_recipe_back(finished_run, photo_recipe):
    assert Recipe.load(finished_run.folder / "recipe.json") == photo_recipe


def test_the_plan_written_names_every_variable_of_the_model_written(finished_run):
    plan = json.loads((finished_run.folder / "plan.json").read_text())
    model = tl.load_model(finished_run.folder / "model.keras")
    assert set(plan["roles"]) == {variable.path for variable in model.variables}
    trained = [path for path, role in plan["roles"].items() if role == "trained"]
    assert trained == ["predictions/kernel", "predictions/bias"]


def test_the_summary_says_the_mode_of_each_stage_and_the_licence(finished_run):
    page = (finished_run.folder / "summary.md").read_text()
    assert "| conv2 | 0 | " in page
    assert page.count("| frozen |") == 3
    assert "licence of the weights: MIT" in page
    assert "no probability differs" in page


@pytest.mark.parametrize(
    "name",
    [
        "contact_sheet.png",
        "training_curves.png",
        "confusion_matrix.png",
        "reliability.png",
        "held_back.png",
    ],
)
def test_plots_are_pictures_with_something_on_them(finished_run, name):
    with Image.open(finished_run.folder / name) as plot:
        pixels = np.asarray(plot.convert("L"))
    assert min(pixels.shape) > 300
    assert 0.01 < (pixels < 200).mean() < 0.9


def test_the_frozen_backbone_is_the_one_that_was_loaded(finished_run, tiny_weights):
    before = tl.load_model(finished_run.folder / "model.keras")
    plan = finished_run.plan
    tensors = open_weights(tiny_weights).read_tensors()
    for variable in before.weights:
        if plan.roles[variable.path] != "trained":
            np.testing.assert_array_equal(variable.numpy(), tensors[variable.path])


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy",
    [
        tl.LastLayers("conv3_block1"),
        pytest.param(tl.FullFineTune(on="logits"), marks=pytest.mark.long),
        pytest.param(tl.NewHead(), marks=pytest.mark.long),
        pytest.param(tl.FullFineTune(), marks=pytest.mark.long),
    ],
    ids=lambda s: f"{s.name}-{s.on}",
)
def test_two_trainings_of_one_recipe_are_equal_bit_for_bit(photo_recipe, strategy):
    recipe = photo_recipe.replace(strategy=strategy, epochs=2, learning_rate=None)
    first = train_and_validate(recipe)
    second = train_and_validate(recipe)
    assert_same_bits(values(first.model), values(second.model))
    assert first.progress.history == second.progress.history
    assert first.validation == second.validation


def test_devices_and_the_batch_that_was_decided_are_announced_before_training(photo_recipe):
    class Announcement(Progress):
        def message(self, text):
            raise KeyboardInterrupt(text)

    with pytest.raises(
        KeyboardInterrupt, match=r"^Training on one CPU, batches of at most 32 images$"
    ):
        train_and_validate(photo_recipe.replace(batch_size=None), Context(progress=Announcement()))


@pytest.mark.long
def test_another_seed_trains_other_weights(photo_recipe):
    first = train_and_validate(photo_recipe.replace(epochs=1))
    second = train_and_validate(photo_recipe.replace(epochs=1, seed=4))
    head = "predictions/kernel"
    assert not np.array_equal(values(first.model)[head], values(second.model)[head])


@pytest.mark.long
def test_a_run_keeps_tensorflows_messages(photo_recipe, tmp_path, no_saved_model):
    progress = Progress()
    progress.log_file = tmp_path / "messages.log"
    progress.log_file.write_text("I0000 cuda_platform.cc: no GPU")
    result = tl.run(photo_recipe.replace(epochs=1), tmp_path / "run", progress=progress)
    kept = (result.folder / "tensorflow.log").read_text()
    assert kept == "I0000 cuda_platform.cc: no GPU"


class UnreadableImages:
    """A test split that must not be looked at."""

    def __len__(self):
        return 4

    def take(self, indices):
        raise AssertionError("the test split was taken from")

    def loader(self):
        raise AssertionError("the test split was read")

    encoded = take


@pytest.mark.slow
def test_training_never_reads_a_test_image(photo_recipe):
    dataset = prepare(photo_recipe).dataset
    unreadable = dataclasses.replace(dataset.test, images=UnreadableImages())
    context = Context(dataset=dataclasses.replace(dataset, test=unreadable))
    trained = train_and_validate(photo_recipe.replace(epochs=1), context)
    assert trained.validation["examples"] == len(dataset.validation)


@pytest.mark.parametrize("on", ["features", "logits"])
def test_a_finished_run_serves_as_starting_weights(finished_run, photo_recipe, on):
    recipe = photo_recipe.replace(weights=str(finished_run.folder), strategy=tl.NewHead(on=on))
    experiment = prepare(recipe)
    theirs = values(tl.load_model(finished_run.folder / "model.keras"))
    ours = values(experiment.model)
    shared = [path for path in theirs if on == "logits" or not path.startswith("predictions")]
    for path in shared:
        np.testing.assert_array_equal(ours[path], theirs[path])
    if on == "logits":
        assert ours["new_predictions/kernel"].shape == (3, 3)
    else:
        assert not ours["predictions/kernel"].any()


@pytest.mark.slow
def test_test_images_that_the_weights_have_seen_are_counted_in_a_note(
    finished_run, photo_recipe, photos, tmp_path, no_saved_model
):
    by_steps = ("epochs", "batch_size", "learning_rate", "views")
    recipe = photo_recipe.replace(weights=str(finished_run.folder), **dict.fromkeys(by_steps))
    context = Context(photos=False)
    same = tl.run(recipe, tmp_path / "same", context=context)
    assert not any("flatter" in note for note in same.notes)

    grown = tmp_path / "photos"
    shutil.copytree(photos, grown)
    Image.new("RGB", (30, 30), (220, 40, 30)).save(grown / "red" / "00.png")
    recipe = recipe.replace(data=f"folder:{grown}")
    seen = set((finished_run.folder / "saved_model" / SEEN_IMAGES).read_text().split())
    known = sum(digest in seen for digest in content_digests(prepare(recipe).dataset.test))
    assert known > 0
    notes = tl.run(recipe, tmp_path / "grown", context=context).notes
    expected = f"{known} of 12 test images were learned from, or selected by, in the run"
    (note,) = [note for note in notes if expected in note]
    assert note in (tmp_path / "grown" / "summary.md").read_text()


@pytest.mark.parametrize("output", ["file.txt/run", "file.txt/more/run"])
def test_an_output_that_cannot_be_made_is_refused_before_any_work(tmp_path, photo_recipe, output):
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(tl.InputError, match=r"Cannot make .*file\.txt' is not a folder"):
        tl.run(photo_recipe.replace(data="folder:/nowhere"), tmp_path / output)


def test_an_output_without_permission_is_refused_before_any_work(
    tmp_path, photo_recipe, monkeypatch
):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(tl.InputError, match="cannot be written to"):
        tl.run(photo_recipe.replace(data="folder:/nowhere"), tmp_path / "run")


def test_the_run_used_for_weights_need_not_be_named_as_a_network(finished_run):
    model = tl.ResNet(
        (1, 1), "basic", weights=finished_run.folder, classes=3, width=4, stem="cifar"
    )
    theirs = values(tl.load_model(finished_run.folder / "model.keras"))
    assert_same_bits(values(model), theirs)


@pytest.mark.long
def test_validation_images_held_in_memory_give_the_figures_of_those_read_anew(
    photo_recipe, monkeypatch
):
    recipe = photo_recipe.replace(epochs=2, cache=False)
    held = train_and_validate(recipe)
    monkeypatch.setattr(evaluation_batches, "DECODED_CACHE_BYTES", 0)
    read = train_and_validate(recipe)
    assert held.progress.history == read.progress.history
    assert held.progress.history[-1]["val_loss"] > 0


def batches_of_an_epoch(recipe):
    recipe, distribute = recipe.replace(cache=False), tf.distribute.get_strategy()
    experiment = prepare(recipe)
    source, _ = open_batch_source(experiment, Context(), ProcessGroup(distribute))
    batches = distributed_batches(experiment, source, distribute, 0, 0)
    epoch = list(batches.take(experiment.hyperparameters.steps_per_epoch))
    labels = np.concatenate([labels for _, labels, _ in epoch])
    weights = np.concatenate([weights for _, _, weights in epoch])
    return np.bincount(labels), np.bincount(labels, weights)


@pytest.mark.long
def test_uneven_classes_are_trained_on_as_the_recipe_says(photo_recipe, photos, tmp_path):
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    for number in range(5, 20):
        (root / "red" / f"{number}.jpg").unlink()
    recipe = photo_recipe.replace(data=f"folder:{root}", validation_fraction=0.0)
    uneven = [16, 16, 4]

    images, weights = batches_of_an_epoch(recipe)
    assert list(images) == list(weights) == uneven
    images, weights = batches_of_an_epoch(recipe.replace(class_balance="weights"))
    assert list(images) == uneven
    np.testing.assert_allclose(weights, [12, 12, 12], rtol=1e-6)
    images, weights = batches_of_an_epoch(recipe.replace(class_balance="sampling"))
    assert list(images) == list(weights) == [16, 16, 16]


def test_a_run_in_place_of_a_finished_one_is_refused_before_any_work(finished_run, photo_recipe):
    with pytest.raises(tl.InputError, match=r"exists.*--overwrite"):
        tl.run(photo_recipe.replace(data="folder:/nowhere"), finished_run.folder)


@pytest.mark.slow
def test_overwrite_replaces_a_finished_run_only_when_the_new_one_is_finished(
    tmp_path, photo_recipe, monkeypatch, no_saved_model
):
    folder = tmp_path / "run"
    recipe, context = photo_recipe.replace(epochs=1), Context(networks=NetworkPool(), photos=False)
    first = tl.run(recipe, folder, context=context)

    def fail(*args, **kwargs):
        raise RuntimeError("export failed")

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "export", fail)
        with pytest.raises(RuntimeError, match="export failed"):
            tl.run(recipe.replace(seed=5), folder, overwrite=True, context=context)
    assert json.loads((folder / "metrics.json").read_text())["test"] == first.test
    shutil.rmtree(tmp_path / "run.partial")
    (folder / ".DS_Store").write_text("of the system")
    result = tl.run(recipe, folder, overwrite=True, context=context)
    assert {path.name for path in result.folder.iterdir()} == FILES - {
        "weights.json",
        "contact_sheet.png",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_a_diverged_run_names_the_step_and_leaves_nothing(tmp_path, photo_recipe):
    recipe = photo_recipe.replace(optimizer="sgd", learning_rate=1e30, epochs=3)
    context = Context(checkpoint_seconds=0)
    with pytest.raises(DivergedError, match=r"at step \d+ .*learning rate"):
        tl.run(recipe, tmp_path / "run", context=context)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_full_disk_is_explained_and_the_same_call_finishes(tmp_path, photo_recipe, monkeypatch):
    recipe = photo_recipe.replace(epochs=2)
    save = keras.Model.save

    def full(self, path, *args, **kwargs):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(tl.InputError, match=r"disk is full.*run.*same command"):
        tl.run(recipe, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial"]
    monkeypatch.setattr(keras.Model, "save", save)
    result = tl.run(recipe, tmp_path / "run")
    assert len(result.history) == 2
    assert_same_bits(
        values(tl.load_model(result.folder / "model.keras")),
        values(train_and_validate(recipe).model),
    )


def test_tensorflows_word_for_a_full_disk_is_understood_too(tmp_path, photo_recipe, monkeypatch):
    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "x; No space left on device")

    monkeypatch.setattr(tf.train.CheckpointManager, "save", full)
    with pytest.raises(tl.InputError, match="disk is full"):
        tl.run(
            photo_recipe.replace(epochs=1),
            tmp_path / "run",
            context=Context(checkpoint_seconds=0.0),
        )


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch, step):
        super().__init__()
        self.at = (epoch, step)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.long
def test_ctrl_c_stops_after_the_step_and_the_same_call_ends_as_if_nothing_had_been(
    tmp_path, photo_recipe, no_saved_model
):
    recipe = photo_recipe.replace(epochs=3)
    with pytest.raises(StoppedError, match="step 2 of epoch 2"):
        tl.run(recipe, tmp_path / "run", context=Context(callbacks=(Interrupt(1, 1),)))
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial"]
    result = tl.run(recipe, tmp_path / "run")
    whole = train_and_validate(recipe)
    assert result.history == whole.progress.history
    assert_same_bits(values(tl.load_model(result.folder / "model.keras")), values(whole.model))


@pytest.mark.long
def test_serving_in_bfloat16_says_how_often_it_agrees(tmp_path, photo_recipe, photos):
    result = tl.run(photo_recipe.replace(serve_precision="bfloat16"), tmp_path / "run")
    summary = (result.folder / "summary.md").read_text()
    assert "in bfloat16: the same class as in float32 for 12 of 12 test images (1.0000)" in summary
    classifier = tl.load_classifier(result.folder)
    assert classifier.predict(photos / "red" / "0.jpg")[0].class_name == "red"
    assert "bfloat16" in classifier.card["facts"]["serving"]
    kernel = tl.load_model(result.folder / "model.keras").get_layer("conv1_conv").kernel
    assert kernel.dtype == "float32"


@pytest.mark.slow
def test_another_recipe_does_not_go_on_from_a_stopped_run(tmp_path, photo_recipe):
    with pytest.raises(StoppedError):
        tl.run(photo_recipe, tmp_path / "run", context=Context(callbacks=(Interrupt(0, 1),)))
    with pytest.raises(tl.InputError, match="another run: it differs in recipe"):
        tl.run(photo_recipe.replace(epochs=13), tmp_path / "run")


def test_the_default_folder_follows_from_the_recipe(photo_recipe, photos):
    folder = default_folder(photo_recipe)
    assert folder == default_folder(Recipe.from_json(photo_recipe.to_json()))
    assert folder != default_folder(photo_recipe.replace(seed=4))
    assert folder.parent == pathlib.Path("saved_models")
    assert folder.name.startswith(photos.name + "-new_head-")


def text_file(root):
    (root / "red" / "x.jpg").write_text("not an image")


def truncated(root):
    photo = root / "red" / "0.jpg"
    photo.write_bytes(photo.read_bytes()[:-200])


def empty(root):
    for path in sorted(root.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def one_class(root):
    for name in ("blue", "green"):
        for path in (root / name).iterdir():
            path.unlink()
        (root / name).rmdir()


def one_image(root):
    for path in sorted((root / "red").iterdir())[1:]:
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (text_file, "x.jpg.*cannot be used: not a photo"),
        (truncated, "0.jpg.*cannot be used: damaged or cut short"),
        (empty, "must hold at least two class folders"),
        (one_class, "at least two class folders.*only 'red'"),
        (one_image, "Class 'red' has 1 image; it needs 3"),
    ],
)
def test_bad_photos_are_named_and_leave_nothing_behind(
    tmp_path, photos, photo_recipe, spoil, message
):
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    spoil(root)
    with pytest.raises(tl.InputError, match=message):
        tl.run(photo_recipe.replace(data=f"folder:{root}"), tmp_path / "out" / "run")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "digts"}, "Unknown weights 'digts'"),
        (
            {"strategy": tl.LastLayers("conv9_block1")},
            "Unknown trainable_from 'conv9_block1'.*conv3",
        ),
        ({"backbone": "resnet34"}, "resnet6 with block_counts.*the network has"),
        ({"augmentation": "photos"}, "Did you mean 'photo'"),
        ({"data": "foldr:photos"}, "Did you mean 'folder'"),
        ({"data": "folder:/no/such/folder"}, "Cannot read the folder"),
        ({"preprocessing": "caffe"}, "trained with another preprocessing"),
    ],
)
def test_wrong_names_are_answered_with_the_right_ones_and_leave_nothing_behind(
    tmp_path, photo_recipe, changes, message
):
    with pytest.raises(tl.InputError, match=message):
        tl.run(photo_recipe.replace(**changes), tmp_path / "out" / "run")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("weights", ["~nobody-at-all/run", "x" * 5000], ids=["~", "long"])
def test_weights_that_cannot_be_looked_up_are_refused(weights, tmp_path):
    recipe = tl.Recipe(data="digits", strategy=tl.NewHead(), weights=weights)
    with pytest.raises(tl.InputError, match="cannot be looked up"):
        tl.run(recipe, tmp_path / "run")


def test_a_saved_model_that_lies_around_is_not_that_of_weights_with_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = tmp_path / "saved_model" / SEEN_IMAGES
    seen.parent.mkdir(parents=True)
    seen.write_text("0123456789abcdef\n")
    recipe = tl.Recipe(data="digits", strategy=tl.NewHead(), weights="digits")
    assert seen_by_the_weights(recipe) == set()
    assert seen_by_the_weights(recipe.replace(weights=str(tmp_path))) == {"0123456789abcdef"}
