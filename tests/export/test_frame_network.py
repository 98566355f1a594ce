"""The metadata that every format carries, and the error where its package is missing."""

import dataclasses
import json

from frame_networks import CLASSES, SIDE, frame_network

from tl_toolkit.catalog import PREPROCESSING
from tl_toolkit.errors import InputError, missing_package


def test_the_metadata_are_json_and_say_what_goes_in():
    network = frame_network("imagenet_stem")
    metadata = {name: json.loads(text) for name, text in network.metadata.items()}
    assert metadata["class_names"] == list(CLASSES)
    assert metadata["card"]["preprocessing"] == metadata["preprocessing"]
    assert metadata["input"].startswith(f"RGB pixels, 0-255, [batch, {SIDE}, {SIDE}, 3]")


def test_the_preprocessing_comes_back_as_a_record():
    network = frame_network("imagenet_stem")
    expected = dataclasses.replace(PREPROCESSING["caffe"], image_size=SIDE)
    assert network.preprocessing == expected
    assert network.frame_shape == (SIDE, SIDE, 3)


def test_a_missing_package_is_named_with_its_extra():
    error = missing_package("litert", ModuleNotFoundError("no", name="ai_edge_litert"))
    assert isinstance(error, InputError)
    assert str(error).startswith("ai_edge_litert is not installed")
    assert "'tl-toolkit[litert]'" in str(error)
