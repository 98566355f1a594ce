"""A classifier as an OpenVINO model, by its own `convert_model` from our ONNX graph."""

from __future__ import annotations

import pathlib
import tempfile

from tl_toolkit.errors import missing_package
from tl_toolkit.export import onnx_file
from tl_toolkit.export.frame_network import FrameNetwork
from tl_toolkit.export.runtimes import IMAGES, PROBABILITIES

try:
    import openvino
except ImportError as _error:
    raise missing_package("openvino", _error) from _error

METADATA = "tl_toolkit"  # the branch of `rt_info` that holds ours


def write(network: FrameNetwork, path: pathlib.Path) -> None:
    """Writes an .xml file and, beside it, the .bin file with its weights, in float32.

    From `images`, float32[batch, size, size, 3], to `probabilities`, float32[batch, classes]. `rt_info` holds the
    metadata below `tl_toolkit`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        graph = pathlib.Path(scratch, "model.onnx")
        onnx_file.write(network, graph)
        model = openvino.convert_model(graph)
        model.inputs[0].get_tensor().set_names({IMAGES})
        model.outputs[0].get_tensor().set_names({PROBABILITIES})
        for name, text in network.metadata.items():
            model.set_rt_info(text, [METADATA, name])
        openvino.save_model(model, path, compress_to_fp16=False)
