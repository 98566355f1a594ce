"""A run on two classes: thresholds are chosen on images that are no test images, by probabilities as served."""

import json
import shutil

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.experiments import calibrate
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.tested import held_out, measure_test
from tl_toolkit.experiments.train_and_validate import train_and_validate

pytestmark = pytest.mark.slow


@pytest.fixture
def two_classes(photos, tmp_path, photo_recipe):
    root = tmp_path / "photos"
    for name in ("green", "red"):
        shutil.copytree(photos / name, root / name)
    for number in range(6):
        (root / "red" / f"{number}.jpg").unlink()
    return photo_recipe.replace(data=f"folder:{root}", epochs=2)


def test_thresholds_are_chosen_by_validation_images_as_served(two_classes, monkeypatch):
    monkeypatch.setattr(calibrate, "FEWEST_IMAGES", 1)
    trained = train_and_validate(two_classes)
    assert trained.calibration.temperature != 1
    found = held_out(trained)
    logits, labels = predict_logits(trained.experiment, trained.experiment.dataset.validation)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-4)
    assert (found.labels.tolist(), found.kind) == (labels.tolist(), "validation images")


def test_of_a_solved_head_they_are_chosen_by_training_images_out_of_fold(two_classes):
    recipe = two_classes.replace(epochs=None, batch_size=None, learning_rate=None)
    trained = train_and_validate(recipe)
    found = held_out(trained)
    assert found.kind == "training images out of fold"
    assert found.labels.tolist() == trained.experiment.dataset.train.labels.tolist()
    rows = measure_test(trained).thresholds
    assert [row["images"] for row in rows] == [len(found.labels)] * 3


@pytest.mark.long
def test_what_a_run_on_two_classes_leaves(two_classes, tmp_path, no_saved_model, plots):
    result = tl.run(two_classes.replace(find=0.75), tmp_path / "run")
    metrics = json.loads((result.folder / "metrics.json").read_text())
    assert metrics["test"]["positive_class"] == "red"  # the rarer one
    assert 0 <= metrics["test"]["roc_auc"] <= 1
    assert metrics["validation"]["positive_class"] == "red"
    (row,) = metrics["thresholds"]
    assert (row["find"], row["chosen_on"]) == (0.75, "validation images")
    assert [row["below"] for row in metrics["held_back"]] == [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    page = (result.folder / "summary.md").read_text()
    assert f"To find 75% of 'red': answer it from probability {row['threshold']:g} on" in page
    assert "the rarer class of the training images" in page
    assert "| 0.8 |" in page
    assert (result.folder / "roc.png").stat().st_size > 5000
    card = tl.verify(result.folder)
    assert {"roc.png", "held_back.png", "test_answers.csv"} < set(card.intact)


def test_wrong_names_and_thresholds_without_images_are_refused_when_the_data_is_open(two_classes):
    with pytest.raises(tl.InputError, match=r"Unknown positive class 'blue'.*green, red"):
        prepare(two_classes.replace(positive_class="blue"))
    with pytest.raises(tl.InputError, match="`find` chooses a threshold by validation images"):
        prepare(two_classes.replace(find=0.9, validation_fraction=0.0))


def test_a_run_on_three_classes_has_no_positive_one(finished_run):
    metrics = json.loads((finished_run.folder / "metrics.json").read_text())
    assert "thresholds" not in metrics
    assert "roc_auc" not in metrics["test"]
    assert not (finished_run.folder / "roc.png").exists()
