"""`export_run`: files beside a finished run, each compared with the SavedModel, or nothing at all."""

import dataclasses
import json
import pathlib
import shutil
import sys

import numpy as np
import pytest
from families import long_after

import tl_toolkit as tl
from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.data.resize import resize_files_for_evaluation
from tl_toolkit.experiments import export_run as module
from tl_toolkit.experiments.evaluate_exported import evaluate_exported
from tl_toolkit.experiments.measured_exports import ExportMeasure, MeasuredExport
from tl_toolkit.experiments.page_photos import WITHOUT
from tl_toolkit.experiments.run_folder import check_output
from tl_toolkit.export import litert_int8_file, onnx_file

FILES = {
    "exports/model.onnx",
    "exports/model.tflite",
    "exports/model_int8.tflite",
    "exports/model.xml",
    "exports/model.bin",
}


@pytest.fixture
def run_folder(finished_run, tmp_path):
    return pathlib.Path(shutil.copytree(finished_run.folder, tmp_path / "run"))


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def quick(monkeypatch, difference=0.0, changed=0):
    """Measures nothing: the processes take seconds."""
    monkeypatch.setattr(ExportMeasure, "__init__", lambda self, *arguments: None)

    def measure(self, name, files, paths):
        assert all(path.exists() for path in paths)
        speeds = {"1": 10.0, "32": 20.0}
        return MeasuredExport(name, files, 0.1, 50, difference, changed, 1.0, 0.9, 0.05, speeds)

    monkeypatch.setattr(ExportMeasure, "measure", measure)


def test_every_format_agrees_with_the_savedmodel_in_a_fresh_process(exported_run):
    assert list(exported_run.formats) == ["savedmodel", "onnx", "litert", "litert-int8", "openvino"]
    for name, row in exported_run.formats.items():
        assert row.images == exported_run.formats["savedmodel"].images > 5
        assert row.images_per_second["1"] > 0
        assert row.images_per_second["32"] > 0
        if name != "litert-int8":
            assert row.largest_difference < 1e-5
            assert row.changed_answers == 0
            assert row.mcnemar_p == 1.0
            assert row.top1 == exported_run.formats["savedmodel"].top1
    assert exported_run.formats["litert-int8"].largest_difference > 1e-5
    assert "validation images" in exported_run.compared_on


def test_the_files_are_listed_and_the_run_stays_whole(exported_run):
    found = tl.verify(exported_run.folder)
    assert found.is_whole
    assert found.unknown == ()
    assert FILES | {"exports.json"} <= set(found.intact)
    rows = json.loads((exported_run.folder / "exports.json").read_bytes())["formats"]
    assert rows["onnx"]["files"] == ["exports/model.onnx"]
    assert rows["litert"]["compared_on"] == exported_run.compared_on
    size = (exported_run.folder / "exports/model.onnx").stat().st_size
    assert rows["onnx"]["megabytes"] == size / 1e6


@pytest.mark.parametrize("file", long_after(1, ["model.onnx", "model.tflite", "model.xml"]))
def test_the_loader_gives_the_savedmodels_answers_to_files_and_pixels(
    exported_run, file, photo_recipe
):
    served = tl.load_classifier(exported_run.folder)
    classifier = tl.load_classifier(exported_run.folder / "exports" / file)
    test = open_recipe_data(photo_recipe).test
    files = [test.images.encoded(index) for index in range(4)]
    pixels = [np.random.default_rng(5).integers(0, 255, (29, 41, 3), np.uint8)]
    for images in (files, pixels, [pixels[0].astype(np.float32)]):
        given = classifier.predict_probabilities(images)
        np.testing.assert_allclose(given, served.predict_probabilities(images), atol=1e-5)
    assert classifier.class_names == served.class_names
    assert classifier.path == exported_run.folder / "saved_model"


def test_int8_answers_and_knows_the_classes(exported_run):
    classifier = tl.load_classifier(exported_run.folder / "exports/model_int8.tflite")
    red = np.tile(np.uint8([220, 40, 30]), (30, 30, 1))
    assert classifier.predict(red)[0].class_name == "red"


def test_evaluate_leaves_out_what_the_run_has_seen(exported_run, photo_recipe, tmp_path):
    of_run = evaluate_exported(exported_run.folder / "exports/model.onnx", photo_recipe.data)
    assert of_run["images"]["examples"] < 60
    alone = shutil.copy(exported_run.folder / "exports/model.onnx", tmp_path)
    of_file = evaluate_exported(alone, photo_recipe.data)
    assert of_file["images"]["examples"] == 60
    assert "no image is left out" in of_file["notes"][-1]


def test_a_run_with_exports_can_be_replaced(exported_run):
    check_output(exported_run.folder, overwrite=True)


def test_a_damaged_exports_json_is_refused_before_anything_is_done(exported_run, tmp_path):
    folder = pathlib.Path(shutil.copytree(exported_run.folder, tmp_path / "run"))
    (folder / "exports.json").write_text("{}")
    with pytest.raises(tl.InputError, match=r"exports\.json' is damaged.*exported anew"):
        tl.export_run(folder, "savedmodel")


def test_a_changed_export_is_refused(exported_run, tmp_path):
    folder = pathlib.Path(shutil.copytree(exported_run.folder, tmp_path / "run"))
    with (folder / "exports/model.bin").open("ab") as file:
        file.write(b"x")
    with pytest.raises(tl.InputError, match=r"model\.bin' is damaged"):
        tl.load_classifier(folder / "exports/model.xml")


def test_explain_finds_the_network_of_an_export(exported_run):
    red = np.tile(np.uint8([220, 40, 30]), (30, 30, 1))
    by_file = tl.explain(tl.load_classifier(exported_run.folder / "exports/model.onnx"), red)
    np.testing.assert_allclose(by_file, tl.explain(tl.load_classifier(exported_run.folder), red))


def test_one_format_writes_its_own_files_and_later_ones_are_added(run_folder, monkeypatch):
    quick(monkeypatch)
    tl.export_run(run_folder, "onnx")
    first = (run_folder / "exports/model.onnx").read_bytes()
    assert {p.name for p in (run_folder / "exports").iterdir()} == {"model.onnx"}
    tl.export_run(run_folder, "savedmodel")
    tl.export_run(run_folder, "onnx")
    assert (run_folder / "exports/model.onnx").read_bytes() == first
    rows = json.loads((run_folder / "exports.json").read_bytes())["formats"]
    assert list(rows) == ["savedmodel", "onnx"]
    assert tl.verify(run_folder).is_whole
    assert tl.verify(run_folder).unknown == ()


def test_a_float32_file_that_differs_leaves_nothing(run_folder, monkeypatch):
    before = contents(run_folder)
    quick(monkeypatch, difference=2e-4)
    with pytest.raises(RuntimeError, match=r"onnx file differs .* by 0\.0002 .* at most 0\.0001"):
        tl.export_run(run_folder, "onnx")
    assert contents(run_folder) == before
    assert not (run_folder / "exports").exists()


def test_a_served_bfloat16_is_further_from_float32(exported_run):
    row = dataclasses.replace(exported_run.formats["onnx"], largest_difference=0.05)
    module._check(row, "bfloat16", False)
    with pytest.raises(RuntimeError, match=r"at most 0\.0001 is allowed"):
        module._check(row, "float32", False)


def test_an_export_that_was_interrupted_is_made_again(run_folder, monkeypatch):
    quick(monkeypatch)

    copyfile = shutil.copyfile

    def interrupted(source, target):
        copyfile(source, target)
        if source.name == "model.onnx":
            copyfile(source, run_folder / "exports" / source.name)
            raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(module.shutil, "copyfile", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tl.export_run(run_folder, "onnx")
    assert (run_folder / "exports/model.onnx").is_file()
    tl.export_run(run_folder, "onnx")
    assert tl.verify(run_folder).is_whole
    assert tl.verify(run_folder).unknown == ()


@pytest.mark.long
def test_int8_that_changes_answers_has_to_be_accepted(run_folder, monkeypatch):
    before = contents(run_folder)
    quick(monkeypatch, difference=0.2, changed=1)
    with pytest.raises(tl.InputError, match=r"1 of 50 answers \(2\.0%\).*--accept-changes"):
        tl.export_run(run_folder, "litert-int8")
    assert contents(run_folder) == before
    tl.export_run(run_folder, "litert-int8", accept_changes=True)
    assert (run_folder / "exports/model_int8.tflite").is_file()


def test_int8_is_calibrated_on_training_images(run_folder, monkeypatch, photo_recipe):
    quick(monkeypatch)
    given = []
    monkeypatch.setattr(
        litert_int8_file,
        "write",
        lambda network, path, frames: (given.extend(frames), path.write_bytes(b"int8")),
    )
    tl.export_run(run_folder, "litert-int8")
    train = open_recipe_data(photo_recipe).train
    card = tl.load_classifier(run_folder).card
    files = [train.images.encoded(index) for index in range(len(train))]
    expected = resize_files_for_evaluation(files, Preprocessing(**card["preprocessing"]))
    np.testing.assert_array_equal(given, expected)


def test_a_file_of_the_users_is_not_replaced(run_folder, monkeypatch):
    quick(monkeypatch)
    (run_folder / "exports").mkdir()
    (run_folder / "exports/model.onnx").write_text("mine")
    with pytest.raises(
        tl.InputError, match=r"exports/model\.onnx' was not written by this toolkit"
    ):
        tl.export_run(run_folder, "onnx")
    assert (run_folder / "exports/model.onnx").read_text() == "mine"


def test_what_is_no_run_or_format_is_refused(run_folder, tmp_path):
    with pytest.raises(tl.InputError, match=r"is no finished run: it has no recipe\.json"):
        tl.export_run(tmp_path)
    with pytest.raises(tl.InputError, match="onnx"):
        tl.export_run(run_folder, "onx")


def test_a_missing_package_is_named_before_anything_is_done(run_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, onnx_file.__name__)
    monkeypatch.setattr(module, "open_recipe_data", None)
    with pytest.raises(tl.InputError, match=r"tl-toolkit\[onnx\]"):
        tl.export_run(run_folder, "onnx")


def test_without_validation_images_it_is_compared_on_training_images(photo_recipe):
    dataset = open_recipe_data(photo_recipe)
    split, words = module._compared_images(dataclasses.replace(dataset, validation=None))
    assert len(split) == len(dataset.train)
    assert words == f"{len(split)} training images: there are no validation images"


def test_of_many_images_the_same_ones_are_drawn(photo_recipe):
    train = open_recipe_data(photo_recipe).train
    drawn = module._drawn(train, 7)
    assert len(drawn) == 7
    np.testing.assert_array_equal(drawn.ids, module._drawn(train, 7).ids)
    assert (np.diff(drawn.ids) > 0).all()


def test_the_page_has_a_line_of_the_formats(exported_run, finished_run):
    page = (exported_run.folder / "report.html").read_text("utf-8")
    assert (
        "Exported to onnx, litert, litert-int8, openvino; compared with the SavedModel on" in page
    )
    for file in FILES:
        assert file in page
    before = finished_run.page.read_text("utf-8")
    assert 'id="exports"' not in before
    assert page.count("data:image/webp") == before.count("data:image/webp")


def test_a_page_without_photos_or_of_the_user_s_stays_so(run_folder, monkeypatch):
    quick(monkeypatch)
    tl.report_page(run_folder, photos=False)
    tl.export_run(run_folder, "onnx")
    page = run_folder / "report.html"
    assert WITHOUT in page.read_text("utf-8")
    assert 'id="exports"' in page.read_text("utf-8")
    assert tl.verify(run_folder).is_whole
    page.write_text("mine")
    tl.export_run(run_folder, "onnx")
    assert page.read_text() == "mine"
