"""What else is done with photos of several labels: asking, measuring and searching; and what is refused."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from several_labels import NAMES, patches, patches_uri, recipe  # noqa: F401
from sklearn.metrics import average_precision_score

import tl_toolkit as tl
from tl_toolkit.cli.evaluate import evaluate
from tl_toolkit.cli.predict import predict
from tl_toolkit.cli.tables import folds_table
from tl_toolkit.data.dataset import ArrayImages, ImageSource, Split
from tl_toolkit.data.resize import resize_pixels_for_evaluation
from tl_toolkit.experiments import measured_exports
from tl_toolkit.experiments.evaluate_exported import evaluate_exported
from tl_toolkit.models.head import new_head
from tl_toolkit.report.heat_maps import heat_maps

pytestmark = [pytest.mark.usefixtures("patches_uri"), pytest.mark.slow]


@pytest.fixture
def photo_files(tmp_path):
    pixels, _ = patches(6, seed=5)
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return paths


def test_predict_lists_the_labels_over_their_thresholds(labels_run, photo_files, capsys):
    classifier = tl.load_classifier(labels_run)
    expected = classifier.predict(photo_files)
    names = tuple(str(path) for path in photo_files)
    predict(str(labels_run), names, json=True)
    found = json.loads(capsys.readouterr().out)
    assert set(found[0]) == {"image", "labels", "probabilities", "thresholds"}
    assert [tuple(row["labels"]) for row in found] == [one.labels for one in expected]
    predict(str(labels_run), names, csv=True)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    for row, one in zip(rows, expected, strict=True):
        assert {name for name in NAMES if row[f"answer of {name}"] == "1"} == set(one.labels)
        for name, threshold in classifier.thresholds.items():
            is_given = float(row[f"probability of {name}"]) >= np.float32(threshold)
            assert is_given == (name in one.labels)
    with pytest.raises(tl.InputError, match="any number of labels"):
        predict(str(labels_run), names, unsure_below=0.8)


@pytest.mark.long
def test_a_page_of_answers_says_the_labels(labels_run, photo_files, tmp_path):
    page = tmp_path / "answers.html"
    predict(str(labels_run), tuple(map(str, photo_files)), html=str(page))
    text = page.read_text()
    assert "the labels that it is given" in text
    assert "compared with the mean over all classes" not in text


@pytest.mark.long
def test_evaluate_measures_at_the_models_own_thresholds(labels_run, monkeypatch, capsys):
    from tl_toolkit.data import open as open_module

    pixels, labels = patches(40, seed=8)
    order = [2, 0]  # the data have two of the labels, in another order

    def others():
        names = tuple(NAMES[k] for k in order)
        return ImageSource(names, Split.of(ArrayImages(pixels), labels[:, order]))

    monkeypatch.setitem(open_module.SOURCES, "others", others)
    found = evaluate_exported(labels_run, "others")
    figures = found["images"]
    assert figures["examples"] == 40
    classifier = tl.load_classifier(labels_run)
    chances = classifier.predict_probabilities(list(pixels))
    for k in order:
        name = NAMES[k]
        of_label = figures["labels"][name]
        given = chances[:, k] >= np.float32(classifier.thresholds[name])
        assert of_label["missed"] == int((labels[:, k].astype(bool) & ~given).sum())
        assert of_label["threshold"] == classifier.thresholds[name]
    assert any("bright corner" in note for note in found["notes"])
    evaluate(str(labels_run), "others")
    assert "mean AP" in capsys.readouterr().out
    with pytest.raises(tl.InputError, match="has one class: measure it on data of its kind"):
        evaluate_exported(labels_run, "digits")


@pytest.mark.long
def test_a_search_compares_trials_by_what_several_labels_have(tiny_weights, tmp_path):
    base = recipe(tiny_weights, tl.NewHead(solver="gradient"), epochs=1)
    space = {"batch_size": [16, 32], "learning_rate": [0.01]}
    with pytest.raises(tl.InputError, match="cannot be compared by 'val_top1'"):
        tl.search(base, space, trials=1, objective="val_top1", output=tmp_path / "refused")
    found = tl.search(
        base,
        space,
        tuner="grid",
        trials=2,
        objective="val_mean_average_precision",
        output=tmp_path / "search",
    )
    with (tmp_path / "search" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    figures = [float(row["val_mean_average_precision"]) for row in rows]
    assert found.best.figures["val_mean_average_precision"] == pytest.approx(max(figures))
    assert "val_top1" not in rows[0]
    assert "mean average precision" in found.page.read_text()


def test_the_page_of_several_runs_is_refused(labels_run, tmp_path):
    with pytest.raises(tl.InputError, match="photos of one class"):
        tl.report_page(labels_run, labels_run, output=tmp_path / "both.html")


def test_every_photo_with_several_labels_is_validated_once(tiny_weights, tmp_path):
    asked = recipe(tiny_weights, tl.NewHead())
    found = tl.cross_validate(asked, folds=3, output=tmp_path / "folds")
    dataset = tl.open_dataset("patches")
    pool = np.concatenate([dataset.train.labels, dataset.validation.labels])
    with (tmp_path / "folds" / "out_of_fold.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth, chances = (
        np.array([[float(row[f"{what} of {name}"]) for name in NAMES] for row in rows])
        for what in ("truth", "probability")
    )
    np.testing.assert_array_equal(truth, pool)
    fold = np.array([int(row["fold"]) for row in rows])
    assert [f.images for f in found.folds] == np.bincount(fold).tolist()
    right = (chances >= 0.5) == (truth > 0)
    np.testing.assert_allclose(
        [f.top1 for f in found.folds], [right[fold == k].mean() for k in range(3)]
    )
    assert found.measure == "labels right"
    assert found.pooled["hamming_loss"] == pytest.approx(1 - right.mean())
    average = [average_precision_score(truth[:, k], chances[:, k]) for k in range(3)]
    assert found.pooled["mean_average_precision"] == pytest.approx(np.mean(average), abs=1e-4)
    assert np.mean(average) > 0.8
    page = found.page.read_text("utf-8")
    for words in ("mean average precision on 120 photos, out of fold", "Labels right of each fold"):
        assert words in page
    assert "given from probability 0.5 on" in page
    assert 'src="data:image/webp' in page  # missed or falsely given ones
    tl.report_page(found.folder, photos=False)
    assert 'src="data:image/webp' not in found.page.read_text("utf-8")
    *_, of_all, last = folds_table(found).rows
    assert of_all[2] == f"{right.mean():.3f}"
    assert last[2] == f"{np.mean(average):.3f}"


def test_two_runs_are_compared_by_photos_with_all_labels_right(labels_run):
    found = tl.paired_test(labels_run, labels_run)
    right = json.loads((labels_run / "metrics.json").read_text())["test"]["subset_accuracy"]
    assert found.both_right == round(right * found.images)
    assert found.only_a == found.only_b == 0


def test_a_heat_map_adds_up_to_the_labels_own_logit(labels_run, photo_files):
    model = tl.load_model(labels_run / "model.keras")
    pixels = patches(3, seed=5)[0].astype(np.float32)
    seen = resize_pixels_for_evaluation(pixels, model.get_layer("preprocessing").record).numpy()
    maps = heat_maps(model, seen, [1, 1, 1], several=True)
    logits = model(seen).numpy()[:, 1] - new_head(model).bias.numpy()[1]
    np.testing.assert_allclose(maps.sum((1, 2)), logits, rtol=1e-3, atol=1e-3)
    heat = tl.explain(tl.load_classifier(labels_run), photo_files[0], "red")
    assert heat.shape == (16, 16)


@pytest.mark.long
def test_an_exported_file_gives_the_labels_that_the_savedmodel_gives(
    labels_run, photo_files, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(measured_exports, "TIMED_SECONDS", 0.0)
    run = shutil.copytree(labels_run, tmp_path / "run")
    served, exports = tl.load_classifier(run), tl.export_run(run, "onnx")
    row = exports.formats["onnx"]
    figures = json.loads((run / "metrics.json").read_text())["validation"]
    assert row.images == figures["examples"]
    assert row.largest_difference < 1e-5
    assert row.changed_answers == 0
    assert row.top1 == pytest.approx(figures["subset_accuracy"])
    assert 0 < row.calibration_error < 0.5
    classifier = tl.load_classifier(run / "exports" / "model.onnx")
    assert classifier.thresholds == served.thresholds
    expected = served.predict(photo_files)
    for one, other in zip(classifier.predict(photo_files), expected, strict=True):
        assert one.labels == other.labels
        for name, probability in other.probabilities.items():
            assert one.probabilities[name] == pytest.approx(probability, abs=1e-4)
    assert 'id="exports"' in (run / "report.html").read_text()
    predict(str(run), tuple(map(str, photo_files)), json=True)
    found, err = capsys.readouterr()
    assert "ONNX Runtime answers" in err
    assert [tuple(answer["labels"]) for answer in json.loads(found)] == [
        one.labels for one in expected
    ]
    assert tl.verify(run).is_whole
