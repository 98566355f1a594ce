"""Photos with several labels, from data to a SavedModel that gives each the labels over its threshold."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from several_labels import NAMES, patches_uri, recipe  # noqa: F401
from sklearn.metrics import average_precision_score, f1_score, log_loss
from sklearn.utils.class_weight import compute_sample_weight

import tl_toolkit as tl
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.rungs import rung_recipes
from tl_toolkit.experiments.selection import Selection
from tl_toolkit.experiments.tested import label_thresholds, measure_test
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.report.calibration import fit_temperature

STEPS = {"epochs": 3, "batch_size": 16, "learning_rate": 0.02}
pytestmark = pytest.mark.usefixtures("patches_uri")


@pytest.mark.slow
def test_the_metrics_are_scikit_learns_of_the_answers(labels_run):
    metrics = json.loads((labels_run / "metrics.json").read_text())
    with (labels_run / "test_answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth, given, chances = (
        np.array([[float(row[f"{what} of {name}"]) for name in NAMES] for row in rows])
        for what in ("truth", "answer", "probability")
    )
    test = metrics["test"]
    assert "top1" not in test
    assert tuple(test["labels"]) == NAMES
    average = [average_precision_score(truth[:, k], chances[:, k]) for k in range(3)]
    assert test["mean_average_precision"] == pytest.approx(np.mean(average), abs=1e-9)
    assert test["mean_average_precision"] > 0.8
    assert test["macro_f1"] == pytest.approx(f1_score(truth, given, average="macro"))
    assert test["micro_f1"] == pytest.approx(f1_score(truth, given, average="micro"))
    assert test["subset_accuracy"] == pytest.approx((truth == given).all(1).mean())
    assert test["hamming_loss"] == pytest.approx((truth != given).mean())
    thresholds = metrics["label_thresholds"]
    np.testing.assert_array_equal(given, chances >= [thresholds["values"][n] for n in NAMES])
    assert thresholds["chosen_on"] == "training images out of fold"
    assert rows[0]["labels"] == " | ".join(n for n, one in zip(NAMES, truth[0], strict=True) if one)


@pytest.mark.slow
def test_the_saved_model_says_what_the_run_said_label_by_label(labels_run):
    with (labels_run / "test_answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    dataset = tl.open_dataset("patches")
    pixels = dataset.test.images.pixels
    signature = tf.saved_model.load(str(labels_run / "saved_model")).signatures["serve_images"]
    found = signature(images=tf.constant(pixels))
    chances = found["probabilities"].numpy()
    expected = [[float(row[f"probability of {name}"]) for name in NAMES] for row in rows]
    np.testing.assert_allclose(chances, expected, atol=1e-5)
    assert not np.allclose(chances.sum(1), 1, atol=0.05)  # no softmax
    classifier = tl.load_classifier(labels_run)
    assert found["thresholds"].shape == (len(rows), 3)
    np.testing.assert_allclose(
        found["thresholds"][0], [classifier.thresholds[name] for name in NAMES], rtol=1e-6
    )
    for row, prediction in zip(rows, classifier.predict(pixels), strict=True):
        given = {name for name in NAMES if row[f"answer of {name}"] == "1"}
        assert set(prediction.labels) == given
        assert list(prediction.probabilities) == sorted(
            prediction.probabilities, key=lambda name: -prediction.probabilities[name]
        )
    probabilities = classifier.predict_probabilities(list(pixels))
    np.testing.assert_allclose(probabilities, chances, atol=1e-6)


@pytest.mark.slow
def test_labels_that_a_photo_shows_are_the_ones_that_it_is_given(labels_run):
    """Where columns and outputs were mixed up, a photo of one label would be given another."""
    classifier = tl.load_classifier(labels_run)
    base = np.full((3, 16, 16, 3), 90, np.float32)
    base[0, 4:12, 4:12, 0] += 110
    base[1, :6, :6] += 110
    base[2, 12:, :, 2] += 140
    base += np.random.default_rng(9).normal(0, 25, base.shape)
    found = classifier.predict(np.clip(base, 0, 255).astype(np.uint8))
    assert [prediction.class_name for prediction in found] == list(NAMES)


@pytest.mark.slow
def test_the_thresholds_would_be_the_same_with_other_test_images(tiny_weights):
    """They are chosen on images out of fold, which give the best F1 by them; the test's labels turned around change none."""
    trained = train_and_validate(recipe(tiny_weights, tl.NewHead()))
    chosen = label_thresholds(trained)
    logits = trained.solved.path.logits / trained.calibration.temperature
    labels = trained.experiment.dataset.train.labels
    for k in range(3):
        chances = expit(logits[:, k])
        ours = f1_score(labels[:, k], chances >= chosen.values[k])
        best = max(f1_score(labels[:, k], chances >= t) for t in np.unique(chances))
        assert ours >= best - 1e-9
    test = trained.experiment.dataset.test
    turned = dataclasses.replace(test, labels=1 - test.labels)
    experiment = dataclasses.replace(
        trained.experiment, dataset=dataclasses.replace(trained.experiment.dataset, test=turned)
    )
    other = dataclasses.replace(trained, experiment=experiment)
    assert label_thresholds(other) == chosen
    assert measure_test(other).label_thresholds == chosen
    assert measure_test(other).metrics["macro_f1"] < measure_test(trained).metrics["macro_f1"]


@pytest.mark.long
@pytest.mark.parametrize(
    "strategy",
    [
        tl.NewHead(solver="gradient"),
        tl.LastLayers("conv3", head_first=False),  # else its solved head may be kept
        tl.FullFineTune(bn_mode="adapt"),
    ],
    ids=["new head", "last layers", "everything"],
)
def test_training_by_steps_keeps_the_epoch_of_the_lowest_validation_loss(strategy, tiny_weights):
    augmentation = "strong" if isinstance(strategy, tl.FullFineTune) else "none"  # it mixes
    trained = train_and_validate(
        recipe(tiny_weights, strategy, augmentation=augmentation, class_balance="weights", **STEPS)
    )
    history = trained.progress.history
    assert set(history[0]) == {
        "epoch",
        "loss",
        "label_accuracy",
        "val_loss",
        "val_mean_average_precision",
        "val_macro_f1",
        "val_label_accuracy",
        "learning_rate",
    }
    losses = [row["val_loss"] for row in history]
    assert trained.progress.best_epoch == int(np.argmin(losses))
    validation = trained.experiment.dataset.validation
    logits, labels = predict_logits(trained.experiment, validation)
    expected = (np.logaddexp(0, logits) - labels * logits).mean()
    assert min(losses) == pytest.approx(expected, rel=1e-4)
    assert trained.validation["log_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.long
def test_without_images_to_choose_by_every_threshold_is_a_half_and_that_is_said(
    tiny_weights, tmp_path
):
    result = tl.run(
        recipe(tiny_weights, tl.NewHead(), validation_fraction=0.0, **{**STEPS, "epochs": 1}),
        tmp_path / "run",
    )
    assert {of["threshold"] for of in result.test["labels"].values()} == {0.5}
    assert any("every label is given from probability 0.5 on" in note for note in result.notes)
    assert "no images to choose thresholds by" in (tmp_path / "run" / "summary.md").read_text()


@pytest.mark.slow
def test_what_is_left_to_read_has_every_label(labels_run):
    metrics = json.loads((labels_run / "metrics.json").read_text())["test"]
    summary = (labels_run / "summary.md").read_text()
    assert f"| test | {metrics['mean_average_precision']:.3f} |" in summary
    assert "training images out of fold chose for its F1; no test image took part" in summary
    card = (labels_run / "model_card.md").read_text()
    assert "several, one or none" in card
    assert "blue\\|edge" in card
    page = (labels_run / "report.html").read_text()
    for name in NAMES:
        assert name in page
    assert "mean average precision on" in page
    assert 'class="matrix"' not in page
    assert (labels_run / "label_curves.png").stat().st_size > 5000
    assert not (labels_run / "confusion_matrix.png").exists()
    written = page
    tl.report_page(labels_run)
    assert (labels_run / "report.html").read_text() == written


@pytest.mark.slow
def test_a_run_can_start_from_a_run_with_several_labels(labels_run, tiny_weights):
    trained = train_and_validate(recipe(labels_run, tl.NewHead()), Context())
    assert trained.solved.path.log_losses.min() < 0.69


@pytest.mark.parametrize("class_balance", ["none", "weights"])
def test_trainings_are_compared_by_the_loss_of_all_answers(class_balance, tiny_weights):
    dataset = open_recipe_data(recipe(tiny_weights, "auto"))
    selection = Selection.of(
        recipe(tiny_weights, "auto", class_balance=class_balance),
        dataclasses.replace(dataset, validation=dataset.train),
    )
    labels = dataset.train.labels
    logits = np.random.default_rng(0).normal(0, 3, labels.shape)
    right, losses = selection.figures(logits, labels)
    weights = np.ones(labels.shape)
    if class_balance == "weights":  # having a label counts as much as not having it
        of_each = [compute_sample_weight("balanced", column) for column in labels.T]
        weights = np.stack(of_each, axis=1)
    assert right == pytest.approx(np.average((logits > 0) == labels, weights=weights), rel=1e-6)
    temperature = fit_temperature(logits, labels)
    expected = log_loss(
        labels.ravel(), expit(logits / temperature).ravel(), sample_weight=weights.ravel()
    )
    assert losses.mean() == pytest.approx(expected, rel=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("validation_fraction", [0.0, 0.25])
def test_auto_keeps_the_rung_of_the_least_loss_but_for_steps_that_gain_less_than_chance_gives(
    validation_fraction, tiny_weights, tmp_path, monkeypatch
):
    asked = recipe(tiny_weights, "auto", epochs=2, validation_fraction=validation_fraction)
    rungs = rung_recipes(asked, open_recipe_data(asked), ("conv2", "conv3"))
    few = {name: rungs[name] for name in ("new head", "everything")}
    monkeypatch.setattr("tl_toolkit.experiments.climb.rung_recipes", lambda *_: few)
    result = tl.run(asked, tmp_path / "run")
    rows = {row["name"]: row for row in json.loads((tmp_path / "run/ladder.json").read_text())}
    kept = min(rows, key=lambda name: rows[name]["log_loss"])
    if "lower by less than 1.645 standard errors" in rows["everything"]["note"]:
        assert kept == "everything"
        kept = "new head"
    assert [name for name, row in rows.items() if row["kept"]] == [kept]
    assert {row["measure"] for row in rows.values()} == {"labels right"}
    assert all(0.5 < row["top1"] <= 1 for row in rows.values())
    of_kept = few[kept]
    if kept == "everything":  # no head on all blocks was climbed to begin with
        of_features = dataclasses.replace(of_kept.strategy, on="features")
        of_kept = of_kept.replace(strategy=of_features)
    assert result.recipe == of_kept
    assert "labels right" in (tmp_path / "run/summary.md").read_text()
    assert "Labels right, gain in points" in result.page.read_text(encoding="utf-8")
    assert result.test["macro_f1"] > 0.3
