"""`tl-toolkit predict` of an exported run: the SavedModel's answers, in a process that refuses TensorFlow."""

import csv
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from families import long_after
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.cli import app
from tl_toolkit.experiments import answering_file as module
from tl_toolkit.experiments.answering_file import answering_file
from tl_toolkit.files.manifest import list_anew

REFUSED = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras"):
            raise AssertionError("imports " + name)
sys.meta_path.insert(0, Refused())
from tl_toolkit.cli import app
sys.argv = ["tl-toolkit", *sys.argv[1:]]
app.main()
"""


def without_tensorflow(*words):
    command = [sys.executable, "-c", REFUSED, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def photo_files(photos, tmp_path_factory):
    """A JPEG file, one to be turned, a PNG and a TIFF file."""
    folder = tmp_path_factory.mktemp("asked")
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photos / "red" / "0.jpg") as photo:
        photo.resize((190, 160)).save(folder / "turned.jpg", exif=exif)
        photo.save(folder / "photo.png")
        photo.save(folder / "photo.tiff")
    shutil.copy(photos / "blue" / "1.jpg", folder / "blue.jpg")
    return folder


@pytest.mark.parametrize(
    "words", long_after(1, [[], ["--runtime", "litert"]]), ids=["auto", "litert"]
)
def test_the_answers_are_the_savedmodels(exported_run, photo_files, words):
    process = without_tensorflow("predict", exported_run.folder, photo_files, "--csv", *words)
    assert process.returncode == 0, process.stderr
    name = "LiteRT" if words else "ONNX Runtime"
    assert f"{name} answers, with {exported_run.folder}/exports/model." in process.stderr
    rows = list(csv.DictReader(io.StringIO(process.stdout)))
    served = tl.load_classifier(exported_run.folder)
    assert len(rows) == 4
    for row in rows:
        (expected,) = served.predict([row["image"]])
        assert row["answer"] == expected.class_name
        found = [float(row[f"probability of {name}"]) for name in expected.probabilities]
        np.testing.assert_allclose(found, list(expected.probabilities.values()), atol=1e-4)


def test_an_exported_file_is_asked_without_tensorflow(exported_run, photo_files):
    file = exported_run.folder / "exports" / "model.onnx"
    process = without_tensorflow("predict", file, photo_files / "blue.jpg", "--json")
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)[0]["class_name"] == "blue"


def test_the_first_file_that_was_found_equal_answers(exported_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(exported_run.folder, run)
    assert answering_file(str(run)) == (run / "exports" / "model.onnx", "ONNX Runtime")
    assert answering_file(str(run), "tensorflow") is None
    openvino = (run / "exports" / "model.xml", "OpenVINO")
    assert answering_file(str(run), "openvino") == openvino
    values = json.loads((run / "exports.json").read_bytes())
    values["formats"]["onnx"]["largest_difference"] = 2e-4
    (run / "exports.json").write_text(json.dumps(values))
    with pytest.raises(
        tl.InputError, match=r"exports\.json' (has|is damaged).*--runtime tensorflow"
    ):
        answering_file(str(run))
    list_anew(run, ["exports.json"])
    assert answering_file(str(run))[1] == "LiteRT"
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert answering_file(str(run)) is None


def test_a_runtime_without_a_file_names_the_way_out(finished_run, monkeypatch, capsys):
    words = ["tl-toolkit", "predict", str(finished_run.folder), "x.jpg", "--runtime", "onnx"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        app.main()
    assert stopped.value.code == 2
    assert "tl-toolkit export" in capsys.readouterr().err
    assert answering_file(str(finished_run.folder)) is None
    assert answering_file("resnet50") is None
