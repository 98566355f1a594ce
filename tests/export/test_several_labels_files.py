"""Files of a network that gives several labels: a probability of its own each, and the thresholds with it."""

import json

import numpy as np
import onnx
import pytest
from frame_networks import CLASSES, SIDE, THRESHOLDS, expected, frame_network, frames

import tl_toolkit as tl
from tl_toolkit.export import litert_file, litert_int8_file, onnx_file, openvino_file
from tl_toolkit.export.runtimes import OPENERS

WRITERS = {
    "model.onnx": onnx_file.write,
    "model.xml": openvino_file.write,
    "model.tflite": litert_file.write,
    "model_int8.tflite": lambda network, path: litert_int8_file.write(network, path, frames(16)),
}


@pytest.mark.parametrize(
    "name",
    [
        "model.onnx",
        pytest.param("model.xml", marks=pytest.mark.long),
        pytest.param("model.tflite", marks=pytest.mark.slow),
        pytest.param("model_int8.tflite", marks=pytest.mark.long),
    ],
)
def test_each_label_has_the_networks_own_probability(name, tmp_path):
    network = frame_network("logits", several=True)
    WRITERS[name](network, tmp_path / name)
    answer, card = OPENERS[(tmp_path / name).suffix](str(tmp_path / name))
    wanted, found = expected(network, frames(16)), answer(frames(16))
    assert np.abs(wanted.sum(1) - 1).max() > 0.3  # no shares of 1
    if "int8" in name:
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.95
    else:
        np.testing.assert_allclose(found, wanted, atol=2e-6)
    assert card["thresholds"] == THRESHOLDS


def test_the_labels_over_their_thresholds_are_given(tmp_path):
    network = frame_network(several=True)
    onnx_file.write(network, tmp_path / "model.onnx")
    metadata = {
        entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props
    }
    assert json.loads(metadata["thresholds"]) == THRESHOLDS
    classifier = tl.load_classifier(tmp_path / "model.onnx")
    assert classifier.thresholds == THRESHOLDS
    pixels = frames(12).round().astype(np.uint8)
    assert pixels.shape[1:3] == (SIDE, SIDE)
    wanted = classifier.predict_probabilities(pixels)
    given = set()
    for prediction, row in zip(classifier.predict(pixels), wanted, strict=True):
        over = {
            name for name, p in zip(CLASSES, row, strict=True) if p >= np.float32(THRESHOLDS[name])
        }
        assert set(prediction.labels) == over
        given.add(len(over))
    assert len(given) > 1
