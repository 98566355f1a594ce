"""Cross-validation: every image is validated once, by a training without it, and no test image is read."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.data.dataset import FileImages
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.experiments import k_fold
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.run_folder import MARKER
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.files.manifest import MANIFEST
from tl_toolkit.transfer.solved_head import deal_folds

pytestmark = pytest.mark.slow


class UnreadableImages(FileImages):
    """Of a test split that must not be looked at."""

    def loader(self):
        raise AssertionError("the test split was read")

    encoded = identity = take = lambda *_: UnreadableImages.loader(None)


@pytest.fixture
def solved(photo_recipe):
    return photo_recipe.replace(epochs=None, batch_size=None, learning_rate=None, views=None)


def test_every_image_is_validated_once_by_a_training_without_it(solved, tmp_path, monkeypatch):
    dataset = open_recipe_data(solved)
    trainings = []

    def watched(recipe, context):
        test = UnreadableImages(context.dataset.test.images.paths)
        blind = dataclasses.replace(
            context.dataset, test=dataclasses.replace(context.dataset.test, images=test)
        )
        trainings.append(blind)
        return train_and_validate(recipe, dataclasses.replace(context, dataset=blind))

    monkeypatch.setattr(k_fold, "train_and_validate", watched)
    found = tl.cross_validate(solved, folds=2, output=tmp_path / "folds")
    ids = {*dataset.train.ids, *dataset.validation.ids}
    assert [{*d.train.ids} | {*d.validation.ids} for d in trainings] == [ids] * 2
    assert all(not {*d.train.ids} & {*d.validation.ids} for d in trainings)
    assert sorted(i for d in trainings for i in d.validation.ids) == sorted(ids)

    again = train_and_validate(solved, Context(dataset=dataclasses.replace(trainings[1])))
    logits, labels = predict_logits(again.experiment, trainings[1].validation)
    assert found.folds[1].top1 == (logits.argmax(1) == labels).mean()
    assert found.pooled["examples"] == len(ids) == sum(f.images for f in found.folds)
    right = sum(f.top1 * f.images for f in found.folds)
    assert found.pooled["top1"] == pytest.approx(right / len(ids))
    losses = sum(f.log_loss * f.images for f in found.folds)
    assert found.pooled["log_loss"] == pytest.approx(losses / len(ids))
    assert found.range_top1[0] <= found.mean_top1 <= found.range_top1[1]

    folder = tmp_path / "folds"
    assert {path.name for path in folder.iterdir()} == {
        "cross_validation.json",
        "report.html",
        "out_of_fold.csv",
        "recipe.json",
        MANIFEST,
        MARKER,
    }
    assert tl.verify(folder).is_whole
    written = json.loads((folder / "cross_validation.json").read_text())
    assert written["mean_top1"] == found.mean_top1
    assert written["pooled"] == found.pooled
    with (folder / "out_of_fold.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted({row["image"] for row in rows}) == sorted(
        [*dataset.train.images.paths, *dataset.validation.images.paths]
    )
    assert tl.Recipe.load(folder / "recipe.json") == solved
    with pytest.raises(tl.InputError, match="exists"):
        tl.cross_validate(solved, folds=2, output=folder)


@pytest.mark.long
def test_one_that_was_stopped_keeps_its_finished_folds(photo_recipe, tmp_path, monkeypatch):
    recipe = photo_recipe.replace(epochs=2)
    whole = tl.cross_validate(recipe, folds=2, output=tmp_path / "whole")
    assert k_fold.SELECTED in whole.notes
    trainings = []

    def stopped(*arguments):
        trainings.append(arguments)
        if len(trainings) == 2:
            raise KeyboardInterrupt
        return train_and_validate(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(k_fold, "train_and_validate", stopped)
        with pytest.raises(KeyboardInterrupt):
            tl.cross_validate(recipe, folds=2, output=tmp_path / "stopped")
    kept = tmp_path / "stopped.partial" / "checkpoints" / "fold 0"
    assert list(kept.glob("*.index"))
    found = tl.cross_validate(recipe, folds=2, output=tmp_path / "stopped")
    assert found.pooled == whole.pooled
    assert found.folds[0].seconds != whole.folds[0].seconds  # of the training that was kept
    assert not (tmp_path / "stopped.partial").exists()


def test_too_many_folds_are_refused_before_any_training(photo_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(k_fold, "train_and_validate", None)
    with pytest.raises(tl.InputError, match="cannot be dealt into 17 folds: use at most 16"):
        tl.cross_validate(photo_recipe, folds=17, output=tmp_path / "folds")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_an_image_that_the_weights_know_is_noted(finished_run, solved, tmp_path):
    found = tl.cross_validate(
        solved.replace(weights=str(finished_run.folder)), folds=2, output=tmp_path / "folds"
    )
    assert k_fold.KNOWN in found.notes


def test_copies_of_a_file_are_in_one_fold(photos, solved, tmp_path, monkeypatch):
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    for number in range(8):
        shutil.copy(root / "red" / f"{number}.jpg", root / "red" / f"copy_{number}.jpg")
    splits = []

    def watched(recipe, context):
        splits.append(context.dataset)
        raise KeyboardInterrupt

    monkeypatch.setattr(k_fold, "train_and_validate", watched)
    recipe = solved.replace(data=f"folder:{root}")
    with pytest.raises(KeyboardInterrupt):
        tl.cross_validate(recipe, folds=2, output=tmp_path / "folds")

    def contents(split):
        return {split.images.identity(i) for i in range(len(split))}

    (dataset,) = splits
    assert not contents(dataset.train) & contents(dataset.validation)


def test_as_many_folds_are_dealt_as_are_asked_for():
    labels = np.repeat([0, 1], 30)
    for folds in (2, 7):
        dealt = deal_folds(labels, np.arange(60), 0, folds)
        counts = [np.bincount(dealt[labels == label], minlength=folds) for label in (0, 1)]
        assert all(np.ptp(c) <= 1 for c in counts)
        assert len(counts[0]) == folds
