"""Exported files opened by `load_classifier`: the answers of the SavedModel to files, bytes and pixels of any size."""

import dataclasses
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from frame_networks import expected, frame_network, frames
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING, Preprocessing
from tl_toolkit.data.resize import resize_files_for_evaluation
from tl_toolkit.export import litert_file, onnx_file, openvino_file
from tl_toolkit.export.frame_endpoints import endpoints_of_frames, open_exported_file

WITHOUT_TENSORFLOW = """
import json, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # importing them is an error
import tl_toolkit as tl
print(json.dumps(tl.load_classifier(sys.argv[1]).predict_probabilities(sys.argv[2:]).tolist()))
"""


@pytest.fixture
def onnx_path(tmp_path):
    onnx_file.write(frame_network("imagenet_stem"), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def photo(height, width, kind="JPEG"):
    pixels = np.random.default_rng(height).integers(0, 255, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def test_frames_are_made_as_the_savedmodel_makes_them():
    seen = []

    def answer(images):
        seen.append(images)
        return np.tile([[0.2, 0.5, 0.3]], (len(images), 1))

    record = dataclasses.replace(PREPROCESSING["imagenet"], image_size=32)
    endpoints = endpoints_of_frames(answer, record, ("a", "b", "c"))
    files = [photo(300, 200), photo(40, 50, "PNG"), photo(30, 40, "BMP")]
    answers = endpoints["serving_default"](image_bytes=files)
    np.testing.assert_allclose(seen[0], resize_files_for_evaluation(files, record), atol=1e-3)
    assert answers["classes"].tolist() == [["b", "c", "a"]] * 3
    np.testing.assert_allclose(answers["scores"], [[0.5, 0.3, 0.2]] * 3, rtol=1e-6)
    np.testing.assert_allclose(answers["probabilities"], [[0.2, 0.5, 0.3]] * 3, rtol=1e-6)


def test_a_file_answers_paths_bytes_and_pixels(onnx_path, tmp_path):
    classifier = tl.load_classifier(onnx_path)
    contents = photo(40, 50, "PNG")
    (tmp_path / "photo.png").write_bytes(contents)
    pixels = np.asarray(Image.open(io.BytesIO(contents)))
    given = [
        classifier.predict_probabilities([image])[0]
        for image in (contents, tmp_path / "photo.png", pixels, pixels.astype(np.float32))
    ]
    np.testing.assert_allclose(given, np.tile(given[0], (4, 1)), atol=1e-6)
    assert classifier.class_names == ("ant", "bee", "Käfer", "wasp")
    assert classifier.path is None


def test_a_photo_that_is_damaged_is_named(onnx_path, tmp_path):
    (tmp_path / "half.jpg").write_bytes(photo(64, 64)[:300])
    with pytest.raises(tl.InputError, match=r"half\.jpg.* is damaged"):
        tl.load_classifier(onnx_path).predict(tmp_path / "half.jpg")


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".xml"])
def test_a_file_of_another_kind_is_refused(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"something else")
    with pytest.raises(tl.InputError, match=r"cannot be read: .*tl-toolkit export"):
        open_exported_file(path)


def test_a_file_of_another_program_is_refused(onnx_path, tmp_path):
    import onnx

    model = onnx.load(onnx_path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(tl.InputError, match=r"other\.onnx' cannot be read"):
        tl.load_classifier(tmp_path / "other.onnx")


def test_the_card_gives_the_preprocessing_back(onnx_path):
    _, card = open_exported_file(onnx_path)
    record = Preprocessing(**card["preprocessing"])
    assert record == dataclasses.replace(PREPROCESSING["caffe"], image_size=32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("writer", "name"),
    long_after(
        1,
        [(onnx_file, "model.onnx"), (litert_file, "model.tflite"), (openvino_file, "model.xml")],
    ),
)
def test_a_file_scales_greys_of_16_bits_by_the_range_on_its_card(writer, name, tmp_path):
    network = frame_network()
    record = dataclasses.replace(network.preprocessing, value_range=(0, 4095))
    network.card["preprocessing"] = json.loads(json.dumps(dataclasses.asdict(record)))
    writer.write(network, tmp_path / name)
    levels = np.random.default_rng(6).integers(0, 4096, (40, 50), np.uint16)
    deep = [tmp_path / "photo.png", tmp_path / "photo.tif"]
    for path in deep:
        Image.fromarray(levels).save(path)
    grey = np.round(levels / 4095 * 255).astype(np.uint8)
    classifier = tl.load_classifier(tmp_path / name)
    assert classifier.value_range == (0, 4095)
    found = classifier.predict_probabilities([*deep, np.stack([grey] * 3, -1)])
    frames_of_graph = resize_files_for_evaluation(tf.constant([deep[0].read_bytes()]), record)
    answers = expected(network, frames_of_graph)
    np.testing.assert_allclose(found, np.tile(answers, (3, 1)), atol=1e-4)


@pytest.mark.slow
def test_greys_of_16_bits_and_floats_are_answered_without_tensorflow(tmp_path):
    network = frame_network()
    record = dataclasses.replace(network.preprocessing, value_range=(0, 4095))
    network.card["preprocessing"] = json.loads(json.dumps(dataclasses.asdict(record)))
    onnx_file.write(network, tmp_path / "model.onnx")
    levels = np.random.default_rng(6).integers(0, 4096, (40, 50), np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    Image.fromarray(levels).save(tmp_path / "deep.tif")
    Image.fromarray(levels.astype(np.float32)).save(tmp_path / "floats.tif")
    asked = [str(tmp_path / name) for name in ("deep.png", "deep.tif", "floats.tif")]
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, str(tmp_path / "model.onnx"), *asked]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    contents = tf.constant([(tmp_path / "deep.png").read_bytes()])
    answers = expected(network, resize_files_for_evaluation(contents, record))
    np.testing.assert_allclose(json.loads(process.stdout), np.tile(answers, (3, 1)), atol=1e-4)


def test_frames_reach_the_runtime_unchanged(onnx_path):
    """At the network's own size and without a crop, resizing changes no pixel."""
    network = frame_network("imagenet_stem")
    record = dataclasses.replace(network.preprocessing, crop_fraction=1.0)
    network.card["preprocessing"] = json.loads(json.dumps(dataclasses.asdict(record)))
    copy = onnx_path.with_name("whole.onnx")
    onnx_file.write(network, copy)
    from tl_toolkit.export.runtimes import open_onnx

    answer, _ = open_onnx(str(copy))
    given = tl.load_classifier(copy).predict_probabilities(frames())
    np.testing.assert_allclose(given, answer(frames()), atol=1e-6)
