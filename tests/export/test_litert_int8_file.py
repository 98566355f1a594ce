"""LiteRT files in int8: what is quantised, what is not, and how far the answers move."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from frame_networks import expected, frame_network, frames

from tl_toolkit.export import litert_int8_file
from tl_toolkit.export.runtimes import open_litert


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    network, path = frame_network("flips"), tmp_path_factory.mktemp("int8") / "model.tflite"
    litert_int8_file.write(network, path, frames(16))
    return network, path


@pytest.mark.slow
def test_answers_stay_near_for_pixels_of_either_kind(quantised):
    network, path = quantised
    answer, card = open_litert(str(path))
    assert card == network.card
    wanted = expected(network, frames(16))
    # Random weights make large differences of small ones, which a trained network does not.
    assert np.abs(answer(frames(16)) - wanted).max() > 1e-5
    assert np.corrcoef(answer(frames(16)).ravel(), wanted.ravel())[0, 1] > 0.95
    pixels = frames(16).round().astype(np.uint8)
    given = Interpreter(str(path)).get_signature_runner("serve_images")(images=pixels)
    assert np.corrcoef(given["probabilities"].ravel(), wanted.ravel())[0, 1] > 0.95


@pytest.mark.slow
def test_kernels_have_a_scale_for_each_channel_and_the_head_stays_float32(quantised):
    network, path = quantised
    tensors = Interpreter(str(path)).get_tensor_details()
    kernels = {
        tuple(t["shape"]): len(t["quantization_parameters"]["scales"])
        for t in tensors
        if t["dtype"] == np.int8 and len(t["shape"]) == 4 and t["shape"][0] > 1
    }
    # [output channels, height, width, input channels]: those of all convolutions but the first.
    assert kernels == {
        (4, 3, 3, 4): 4,
        (8, 3, 3, 4): 8,
        (8, 3, 3, 8): 8,
        (8, 1, 1, 4): 8,
    }
    heads = [t for t in tensors if list(t["shape"]) == [len(network.card["class_names"]), 8]]
    assert len(heads) >= 1
    assert {t["dtype"] for t in heads} == {np.float32}
