"""What is measured of an export: figures from given answers, and what a process that fails says."""

import numpy as np
import pytest

from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.dataset import ArrayImages, Split
from tl_toolkit.experiments.measured_exports import ExportMeasure

LABELS = [0, 1, 0, 1]
SERVED = np.float32([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])  # the last one is wrong
OTHER = np.float32([[0.8, 0.2], [0.2, 0.8], [0.4, 0.6], [0.6, 0.4]])  # the third one too


@pytest.fixture
def answers(monkeypatch):
    """Answers by the name of the file, in place of those of processes."""
    given = {"saved_model": SERVED, "model.onnx": OTHER}

    def answer(self, path):
        return {
            "probabilities": given[path.name],
            "batch_sizes": np.array([1, 32]),
            "images_per_second": np.array([3.0, 40.0]),
        }

    monkeypatch.setattr(ExportMeasure, "_answers", answer)


@pytest.fixture
def split():
    pixels = np.random.default_rng(0).integers(0, 255, (4, 10, 12, 3), np.uint8)
    return Split.of(ArrayImages(pixels), LABELS)


def measure_of(split, tmp_path):
    for folder in ("saved_model", "scratch"):
        (tmp_path / folder).mkdir()
    (tmp_path / "model.onnx").write_bytes(b"x" * 1500)
    (tmp_path / "saved_model" / "part").write_bytes(b"x" * 2000)
    preprocessing = Preprocessing(image_size=8)
    return ExportMeasure(split, preprocessing, tmp_path / "saved_model", tmp_path / "scratch")


def test_figures_follow_from_both_answers(answers, split, tmp_path):
    found = measure_of(split, tmp_path).measure("onnx", ("a",), [tmp_path / "model.onnx"])
    assert found.largest_difference == pytest.approx(0.3)
    assert found.changed_answers == 1
    assert found.mcnemar_p == 1.0
    assert found.top1 == 0.5
    assert found.megabytes == 0.0015
    assert found.images_per_second == {"1": 3.0, "32": 40.0}
    assert (found.format, found.files, found.images) == ("onnx", ("a",), 4)
    # In four bins: right at 0.8 twice, wrong at 0.6 twice.
    assert found.calibration_error == pytest.approx((2 * 0.2 + 2 * 0.6) / 4)


def test_the_savedmodel_is_the_reference(answers, split, tmp_path):
    measure = measure_of(split, tmp_path)
    found = measure.measure("savedmodel", ("saved_model",), [tmp_path / "saved_model"])
    assert (found.largest_difference, found.changed_answers, found.top1) == (0.0, 0, 0.75)
    assert found.megabytes == 0.002


def test_processes_are_given_frames_and_files(answers, split, tmp_path):
    measure_of(split, tmp_path)
    frames = np.load(tmp_path / "scratch" / "frames.npy")
    assert (frames.shape, frames.dtype) == ((4, 8, 8, 3), np.float32)
    with np.load(tmp_path / "scratch" / "encoded.npz") as encoded:
        assert encoded["sizes"].sum() == len(encoded["contents"])
        assert encoded["contents"].tobytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_a_file_that_does_not_load_is_named_with_what_the_runtime_said(
    answers, split, tmp_path, monkeypatch
):
    measure = measure_of(split, tmp_path)
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match=r"(?s)model\.onnx' does not load .*ONNXRuntimeError"):
        measure.measure("onnx", ("a",), [tmp_path / "model.onnx"])
