"""OpenVINO models: the same probabilities as the network."""

import json

import numpy as np
import openvino
import pytest
from families import long_after
from frame_networks import CLASSES, KINDS, SIDE, expected, frame_network, frames

from tl_toolkit.export import openvino_file
from tl_toolkit.export.runtimes import open_openvino


@pytest.mark.slow
@pytest.mark.parametrize("kind", long_after(1, KINDS))
def test_every_kind_of_network_answers_as_it_was_trained(kind, tmp_path):
    network, path = frame_network(kind), tmp_path / "model.xml"
    openvino_file.write(network, path)
    answer, card = open_openvino(str(path))
    assert card == network.card
    for count in (1, 5):
        given = answer(frames(count))
        np.testing.assert_allclose(given, expected(network, frames(count)), atol=2e-6)


@pytest.mark.slow
def test_names_and_metadata_are_ours(tmp_path):
    openvino_file.write(frame_network("logits"), tmp_path / "model.xml")
    assert (tmp_path / "model.bin").is_file()
    model = openvino.Core().read_model(tmp_path / "model.xml")
    assert model.input().get_names() == {"images"}
    assert model.output().get_names() == {"probabilities"}
    assert str(model.input().get_partial_shape()) == f"[?,{SIDE},{SIDE},3]"
    names = model.get_rt_info(["tl_toolkit", "class_names"]).astype(str)
    assert json.loads(names) == list(CLASSES)
