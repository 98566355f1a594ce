"""The examples of docs/exporting.md, on a run of digits: each runtime gives what `load_classifier` gives."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tl_toolkit as tl

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "exporting.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M)


@pytest.fixture
def in_place(exported_run, photos, tmp_path, monkeypatch):
    """The current folder has `my_run`, all formats in it, and a photo."""
    (tmp_path / "my_run").symlink_to(exported_run.folder)
    Image.open(photos / "green" / "3.jpg").save(tmp_path / "new_photo.png")
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_every_runtime_answers_as_the_toolkit_does(in_place):
    names, found = {}, []
    for block in blocks("python")[:3]:
        exec(compile(block, PAGE.name, "exec"), names)
        found.append(np.array(names["probabilities"]))
        assert names["class_names"] == ["blue", "green", "red"]
    expected = tl.load_classifier("my_run").predict_probabilities(["new_photo.png"])
    # LiteRT's example gives whole pixels.
    for probabilities, tolerance in zip(found, (1e-5, 0.02, 1e-5), strict=True):
        np.testing.assert_allclose(probabilities, expected, atol=tolerance)
        assert probabilities[0].argmax() == 1


@pytest.mark.slow
def test_requests_to_tensorflow_serving_fit_the_savedmodel(in_place):
    names = {}
    for block in blocks("python")[3:]:
        exec(compile(block, PAGE.name, "exec"), names)
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest.FromString(names["request"].SerializeToString())
    serve = tf.saved_model.load("my_run/saved_model").signatures[request.model_spec.signature_name]
    given = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
    assert {name: (value.dtype, value.shape.rank) for name, value in given.items()} == {
        name: (spec.dtype, spec.shape.rank)
        for name, spec in serve.structured_input_signature[1].items()
    }
    response = predict_pb2.PredictResponse()
    for name, value in serve(**given).items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    assert set(response.outputs) == {"classes", "scores", "probabilities"}
    assert tf.make_ndarray(response.outputs["classes"])[0, 0] == b"green"
    body = json.loads(json.dumps(names["rest_request"]))
    ((name, value),) = body["instances"][0].items()
    contents = tf.io.decode_base64(value["b64"].replace("+", "-").replace("/", "_").rstrip("="))
    assert contents.numpy() == given[name].numpy()[0]


@pytest.mark.long
@pytest.mark.network
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs node and npm")
def test_javascript_answers_too(in_place):
    (script,) = blocks("js")
    classifier = tl.load_classifier("my_run")
    side = classifier.card["preprocessing"]["image_size"]
    pixels = np.random.default_rng(4).integers(0, 255, (side, side, 3), np.uint8)
    pathlib.Path("frame.rgb").write_bytes(pixels.tobytes())
    pathlib.Path("answer.js").write_text(script)
    # The processor's library is in the package; its script would fetch those for GPUs.
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "onnxruntime-node"]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install onnxruntime-node: {installed.stderr[-300:]}")
    answered = subprocess.run(
        ["node", "answer.js"], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    from tl_toolkit.export.runtimes import open_onnx

    answer, _ = open_onnx("my_run/exports/model.onnx")
    expected = answer(pixels[None].astype(np.float32))[0]
    np.testing.assert_allclose(json.loads(answered.stdout), expected, atol=2e-6)
