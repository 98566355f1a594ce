"""ONNX files: the same probabilities as the network, by ONNX Runtime."""

import json

import keras
import numpy as np
import onnx
import pytest
from families import long_after
from frame_networks import CLASSES, KINDS, SIDE, expected, frame_network, frames

from tl_toolkit.export import onnx_file
from tl_toolkit.export.frame_network import FrameNetwork
from tl_toolkit.export.runtimes import open_onnx


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", long_after(1, [5, 1]))
def test_every_kind_of_network_answers_as_it_was_trained(kind, count, tmp_path):
    network = frame_network(kind)
    onnx_file.write(network, tmp_path / "model.onnx")
    answer, _ = open_onnx(str(tmp_path / "model.onnx"))
    wanted = expected(network, frames(count))
    assert wanted.max() < 0.999
    np.testing.assert_allclose(answer(frames(count)), wanted, atol=2e-6)


def test_the_graph_is_folded_named_and_of_any_batch():
    model = onnx_file.onnx_model(frame_network("imagenet_stem"))
    (images,), (probabilities,) = model.graph.input, model.graph.output
    dimensions = [d.dim_param or d.dim_value for d in images.type.tensor_type.shape.dim]
    assert (images.name, dimensions) == ("images", ["batch", SIDE, SIDE, 3])
    assert probabilities.name == "probabilities"
    operations = [node.op_type for node in model.graph.node]
    assert operations.count("Conv") == 12
    assert not {"BatchNormalization", "ReverseSequence"} & set(operations)


def test_the_metadata_say_what_the_file_is():
    model = onnx_file.onnx_model(frame_network("bottleneck"))
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata["class_names"] == list(CLASSES)
    assert metadata["preprocessing"]["image_size"] == SIDE
    assert metadata["card"]["preprocessing"] == metadata["preprocessing"]
    assert f"[batch, {SIDE}, {SIDE}, 3]" in metadata["input"]


def test_a_batch_normalisation_that_cannot_be_folded_is_written_out(tmp_path):
    images = keras.Input((SIDE, SIDE, 3))
    seen = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(images)
    both = keras.layers.Add()([keras.layers.BatchNormalization()(seen), seen])
    normalised = keras.layers.BatchNormalization(name="alone")(
        keras.layers.Activation("relu")(both)
    )
    model = keras.Model(
        images, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(normalised))
    )
    layer = model.get_layer("alone")
    layer.moving_mean.assign([0.5, -1.0, 2.0, 0.0])
    layer.moving_variance.assign([2.0, 0.5, 1.0, 3.0])
    network = FrameNetwork(model, frame_network().card)
    graph = _nhwc_to_nchw(onnx_file.onnx_model(network))
    onnx.save(graph, tmp_path / "model.onnx")
    answer, _ = open_onnx(str(tmp_path / "model.onnx"))
    images = frames(3) / 255
    np.testing.assert_allclose(answer(images), expected(network, images), atol=2e-6)


def _nhwc_to_nchw(model):
    """Puts the transposition in front that comes with preprocessing."""
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == "images":
                node.input[position] = "turned"
    turn = onnx.helper.make_node("Transpose", ["images"], ["turned"], perm=[0, 3, 1, 2])
    model.graph.node.insert(0, turn)
    return model


@pytest.mark.parametrize(
    ("layer", "fault"),
    [
        (keras.layers.Activation("tanh", name="odd"), "'odd' is no ReLU"),
        (keras.layers.Conv2D(4, 3, 2, padding="same", name="odd"), "'odd' pads by stride"),
        (keras.layers.AveragePooling2D(2, name="odd"), "for 'odd', a AveragePooling2D"),
    ],
)
def test_a_layer_that_it_does_not_know_is_refused(layer, fault):
    images = keras.Input((SIDE, SIDE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(layer(images))
    model = keras.Model(images, keras.layers.Dense(4)(pooled))
    with pytest.raises(TypeError, match=fault):
        onnx_file.onnx_model(FrameNetwork(model, frame_network().card))
