"""A classifier as an ONNX file, written operation by operation.

tf2onnx 1.17, which Keras' own export calls, was tried: the weights that our folded network captures became inputs without
a value, and mirrored views `ReverseSequence`, which few runtimes have. A ResNet has ten kinds of layers, each of which is one operation of ONNX or
two, so they are written here: with batch normalisation folded in, our names, a symbolic batch, and operations that every
runtime knows.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tl_toolkit.errors import missing_package
from tl_toolkit.export.frame_network import FrameNetwork
from tl_toolkit.export.runtimes import IMAGES, PROBABILITIES
from tl_toolkit.models.flipped_views import VIEWS, FlippedViews, MeanOfViews
from tl_toolkit.models.fold import folded_pairs, inputs_of, scale_and_shift
from tl_toolkit.models.preprocessing import ImagePreprocessing

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError as _error:
    raise missing_package("onnx", _error) from _error

OPSET, IR_VERSION = 17, 8  # of 2022: ONNX Runtime 1.12 and later read them


def write(network: FrameNetwork, path: pathlib.Path) -> None:
    """Writes an ONNX file from `images`, float32[batch, size, size, 3], to `probabilities`, float32[batch, classes].

    Its `metadata_props` are the network's metadata.

    Raises:
        TypeError: A layer is of a kind that our networks do not have.
    """
    onnx.save_model(onnx_model(network), str(path))


def onnx_model(network: FrameNetwork) -> onnx.ModelProto:
    """Returns what `write` writes."""
    graph = _Graph(network.model)
    logits = graph.write_layers()
    if network.has_several_labels:
        graph.add("Sigmoid", [logits], PROBABILITIES)
    else:
        graph.add("Softmax", [logits], PROBABILITIES, axis=-1)
    classes = len(network.card["class_names"])
    onnx_graph = helper.make_graph(
        graph.nodes,
        "classifier",
        [_value(IMAGES, ["batch", *network.frame_shape])],
        [_value(PROBABILITIES, ["batch", classes])],
        graph.constants,
    )
    model = helper.make_model(
        onnx_graph,
        producer_name="tl_toolkit",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, network.metadata)
    onnx.checker.check_model(model)
    return model


def _value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


class _Graph:
    """Nodes and constants of the graph, a layer of the model at a time; images are [batch, channels, height, width]."""

    def __init__(self, model: keras.Model) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._model = model
        self._normalisation_of = folded_pairs(model)
        self._folded = {layer.name for layer in self._normalisation_of.values()}

    def write_layers(self) -> str:
        """Writes all layers, and returns the name of the last one's output."""
        writers: dict[type, Callable[[Any, list[str]], str]] = {
            ImagePreprocessing: self._preprocessing,
            FlippedViews: self._flipped_views,
            MeanOfViews: self._mean_of_views,
            keras.layers.ZeroPadding2D: self._padding,
            keras.layers.Conv2D: self._convolution,
            keras.layers.Activation: self._activation,
            keras.layers.MaxPooling2D: self._max_pooling,
            keras.layers.Add: lambda layer, inputs: self.add("Add", inputs, layer.name),
            keras.layers.GlobalAveragePooling2D: self._pooling_by("GlobalAveragePool"),
            keras.layers.GlobalMaxPooling2D: self._pooling_by("GlobalMaxPool"),
            keras.layers.Concatenate: lambda layer, inputs: self.add(
                "Concat", inputs, layer.name, axis=1
            ),
            keras.layers.Dense: self._dense,
        }
        names = {id(self._model.input): IMAGES}
        for layer in self._model.layers:
            if isinstance(layer, keras.layers.InputLayer):
                continue
            inputs = [names[id(tensor)] for tensor in inputs_of(layer)]
            if isinstance(layer, keras.layers.BatchNormalization):
                name = self._normalisation(layer, inputs)
            elif type(layer) in writers:
                name = writers[type(layer)](layer, inputs)
            else:
                raise TypeError(
                    f"No ONNX operation is known for {layer.name!r}, a {type(layer).__name__}."
                )
            names[id(layer.output)] = name
        return names[id(self._model.output)]

    def add(self, operation: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Adds a node with one output, and returns the output's name."""
        self.nodes.append(helper.make_node(operation, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def _preprocessing(self, layer: ImagePreprocessing, inputs: list[str]) -> str:
        record, name, (x,) = layer.record, layer.name, inputs
        if record.channel_order == "bgr":
            order = self._constant(f"{name}/bgr", [2, 1, 0], np.int64)
            x = self.add("Gather", [x, order], f"{name}/in_bgr", axis=3)
        # In the layer's own order of operations, for the same rounding.
        for operation, value in (("Mul", record.scale), ("Sub", record.mean), ("Div", record.std)):
            constant = self._constant(f"{name}/{operation}/value", value)
            x = self.add(operation, [x, constant], f"{name}/{operation}")
        return self.add("Transpose", [x], name, perm=[0, 3, 1, 2])

    def _flipped_views(self, layer: FlippedViews, inputs: list[str]) -> str:
        name = layer.name
        start, end, step = (
            self._constant(f"{name}/{what}", [value], np.int64)
            for what, value in (("start", -1), ("end", np.iinfo(np.int64).min), ("step", -1))
        )
        height, width = (
            self._constant(f"{name}/{what}", [axis], np.int64)
            for what, axis in (("height", 2), ("width", 3))
        )

        def reversed_along(x: str, axis: str, output: str) -> str:
            return self.add("Slice", [x, start, end, axis, step], f"{name}/{output}")

        mirrored = reversed_along(inputs[0], width, "mirrored")
        turned = reversed_along(inputs[0], height, "upside_down")
        both = reversed_along(mirrored, height, "both")
        return self.add("Concat", [inputs[0], mirrored, turned, both], name, axis=0)

    def _mean_of_views(self, layer: MeanOfViews, inputs: list[str]) -> str:
        shape = [VIEWS, -1, layer.output.shape[-1]]
        shape_name = self._constant(f"{layer.name}/shape", shape, np.int64)
        views = self.add("Reshape", [*inputs, shape_name], f"{layer.name}/views")
        return self.add("ReduceMean", [views], layer.name, axes=[0], keepdims=0)

    def _padding(self, layer: keras.layers.ZeroPadding2D, inputs: list[str]) -> str:
        (top, bottom), (left, right) = layer.padding
        pads = [0, 0, top, left, 0, 0, bottom, right]
        return self.add(
            "Pad", [*inputs, self._constant(f"{layer.name}/pads", pads, np.int64)], layer.name
        )

    def _convolution(self, layer: keras.layers.Conv2D, inputs: list[str]) -> str:
        kernel = np.asarray(layer.kernel.numpy(), np.float64)
        bias = None if layer.bias is None else layer.bias.numpy()
        if layer.name in self._normalisation_of:
            scale, bias = scale_and_shift(self._normalisation_of[layer.name])
            kernel = kernel * scale
        constants = [self._constant(f"{layer.name}/kernel", kernel.transpose(3, 2, 0, 1))]
        if bias is not None:
            constants.append(self._constant(f"{layer.name}/bias", bias))
        pads = [0, 0, 0, 0]
        if layer.padding == "same":
            if layer.strides != (1, 1):  # it would depend on the image's sides
                raise TypeError(f"{layer.name!r} pads by stride: our networks pad explicitly.")
            before = [(size - 1) // 2 for size in layer.kernel_size]
            pads = [*before, *(s - 1 - b for s, b in zip(layer.kernel_size, before, strict=True))]
        return self.add(
            "Conv", [*inputs, *constants], layer.name, strides=list(layer.strides), pads=pads
        )

    def _normalisation(self, layer: keras.layers.BatchNormalization, inputs: list[str]) -> str:
        if layer.name in self._folded:
            return inputs[0]
        scale, shift = (
            self._constant(f"{layer.name}/{what}", value.reshape(1, -1, 1, 1))
            for what, value in zip(("scale", "shift"), scale_and_shift(layer), strict=True)
        )
        scaled = self.add("Mul", [*inputs, scale], f"{layer.name}/scaled")
        return self.add("Add", [scaled, shift], layer.name)

    def _activation(self, layer: keras.layers.Activation, inputs: list[str]) -> str:
        if layer.activation is not keras.activations.relu:
            raise TypeError(f"{layer.name!r} is no ReLU, the one activation of our networks.")
        return self.add("Relu", inputs, layer.name)

    def _max_pooling(self, layer: keras.layers.MaxPooling2D, inputs: list[str]) -> str:
        return self.add(
            "MaxPool",
            inputs,
            layer.name,
            kernel_shape=list(layer.pool_size),
            strides=list(layer.strides),
        )

    def _pooling_by(self, operation: str) -> Callable[[Any, list[str]], str]:
        def write_pooling(layer: keras.layers.Layer, inputs: list[str]) -> str:
            pooled = self.add(operation, inputs, f"{layer.name}/pooled")
            return self.add("Flatten", [pooled], layer.name)

        return write_pooling

    def _dense(self, layer: keras.layers.Dense, inputs: list[str]) -> str:
        if layer.activation is not keras.activations.linear:
            raise TypeError(f"{layer.name!r} has an activation: our networks end in logits.")
        kernel, bias = (
            self._constant(f"{layer.name}/{what}", variable.numpy())
            for what, variable in (("kernel", layer.kernel), ("bias", layer.bias))
        )
        return self.add("Gemm", [*inputs, kernel, bias], layer.name)
