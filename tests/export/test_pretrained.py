"""Weights with their own head classify without training."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from tiny import TINY, network, write_safetensors

import tl_toolkit as tl
from tl_toolkit import catalog
from tl_toolkit.catalog import PREPROCESSING, WeightSpec
from tl_toolkit.cli.app import main
from tl_toolkit.data.resize import resize_for_evaluation
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import file_digest
from tl_toolkit.models.preprocessing import ImagePreprocessing
from tl_toolkit.weights import shipped


@pytest.fixture
def digit_photo(tmp_path):
    """A seven, as a file."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = (digits.images[digits.target == 7][0] * (255 / 16)).astype(np.uint8)
    path = tmp_path / "seven.png"
    Image.fromarray(pixels).resize((40, 40)).save(path)
    return path


@pytest.mark.slow
def test_shipped_weights_know_a_digit(digit_photo):
    classifier = tl.load_classifier("digits")
    assert (classifier.path, classifier.class_names) == (None, tuple("0123456789"))
    (prediction,) = classifier.predict(digit_photo)
    assert (prediction.class_name, prediction.score > 0.9) == ("7", True)


@pytest.mark.slow
def test_the_command_line_predicts_with_the_name_of_weights(digit_photo, capsys, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["tl-toolkit", "predict", "digits", str(digit_photo), "--json"]
    )
    main()
    (row,) = json.loads(capsys.readouterr().out)
    assert row["class_name"] == "7"


@pytest.fixture
def tiny_catalogue(tmp_path, monkeypatch):
    """A catalogue entry on a file with a head of five classes; fields can be changed."""

    def declare(**fields):
        known = {
            "preprocessing": PREPROCESSING["caffe"],
            "class_names": tuple("abcde"),
            "classes": 5,
            "source": "shipped",
            "filename": "tiny.safetensors",
        }
        model = network(include_top="classes" not in fields or fields["classes"] > 0)
        spec = WeightSpec(name="tiny", architecture=TINY, **{**known, **fields})
        path = write_safetensors(tmp_path / "tiny.safetensors", model, spec)
        digest = file_digest(path)
        monkeypatch.setattr(shipped, "FOLDERS", (tmp_path,))
        monkeypatch.setitem(
            catalog.CATALOG, "tiny", WeightSpec(**{**spec.__dict__, "sha256": digest})
        )
        return model

    return declare


def test_the_answer_is_that_of_the_network_on_preprocessed_pixels(tiny_catalogue):
    model = tiny_catalogue()
    image = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)
    record = PREPROCESSING["caffe"]
    pixels = resize_for_evaluation(image, record)[None]
    expected = tl.ResNet(
        (1, 1), "basic", width=4, stem="cifar", classes=5, input_shape=(224, 224, 3)
    )
    expected.set_weights(model.get_weights())
    probabilities = expected(ImagePreprocessing(record)(pixels)).numpy()[0]
    answer = tl.load_classifier("tiny").predict_probabilities([image])[0]
    assert np.allclose(answer, probabilities, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": 0}, "do not come with a head"),
        ({"class_names": ()}, "do not come with their classes' names"),
        ({"preprocessing": None}, "do not come with their preprocessing"),
    ],
)
def test_weights_that_cannot_classify_are_refused(fields, message, tiny_catalogue):
    tiny_catalogue(**fields)
    with pytest.raises(InputError, match=message):
        tl.load_classifier("tiny")


def test_a_name_that_is_neither_is_refused():
    with pytest.raises(InputError, match="a network such as resnet50"):
        tl.load_classifier("resnet51")
