"""LiteRT files: the same probabilities as the network, from pixels of either kind."""

import json
import zipfile

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from families import long_after
from frame_networks import CLASSES, KINDS, expected, frame_network, frames

from tl_toolkit.export import litert_file
from tl_toolkit.export.runtimes import open_litert


@pytest.mark.slow
@pytest.mark.parametrize("kind", long_after(1, ["flips", "logits", "imagenet_stem"]))
def test_a_network_answers_as_it_was_trained_to_batches_of_any_size(kind, tmp_path):
    assert kind in KINDS
    network, path = frame_network(kind), tmp_path / "model.tflite"
    litert_file.write(network, path)
    answer, _ = open_litert(str(path))
    for count in (1, 5, 2):
        given = answer(frames(count))
        np.testing.assert_allclose(given, expected(network, frames(count)), atol=2e-6)


@pytest.mark.slow
def test_both_signatures_share_their_weights_and_the_archive_has_the_metadata(tmp_path):
    network, path = frame_network("all_blocks"), tmp_path / "model.tflite"
    litert_file.write(network, path)
    pixels = frames().astype(np.uint8)
    runner = Interpreter(str(path)).get_signature_runner("serve_images")
    given = runner(images=pixels)["probabilities"]
    np.testing.assert_allclose(given, expected(network, pixels.astype(np.float32)), atol=2e-6)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(CLASSES)
        assert json.loads(archive.read("card.json")) == network.card
        assert json.loads(archive.read("class_names.json")) == list(CLASSES)


@pytest.mark.slow
def test_two_signatures_take_less_than_twice_the_room():
    network = frame_network("imagenet_stem")
    assert len(litert_file.lite_model(network)) < 1.5 * network.model.count_params() * 4 + 20_000
