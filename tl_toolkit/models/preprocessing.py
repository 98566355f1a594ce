"""Preprocessing as a layer, so that it is exported with the model."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from tl_toolkit.catalog import Preprocessing


@keras.saving.register_keras_serializable(package="tl_toolkit")
class ImagePreprocessing(keras.layers.Layer):
    """Turns raw RGB pixels into what a weight set was trained on: (pixels * scale - mean) / std.

    Args:
        record: The `Preprocessing` of the weights, or its fields as a dict.

    Input: float[batch, height, width, 3], RGB, 0-255.
    Output: float[batch, height, width, 3] in the layer's compute dtype, computed in float32.
    """

    def __init__(self, record: Preprocessing | dict[str, Any], **kwargs: Any) -> None:
        # Pixels up to 255 lose bits in half precision: autocasting would round them first.
        super().__init__(trainable=False, autocast=False, **kwargs)
        self.record = record if isinstance(record, Preprocessing) else Preprocessing(**record)

    def call(self, images: Any) -> Any:
        x = keras.ops.cast(images, "float32")
        if self.record.channel_order == "bgr":
            x = keras.ops.flip(x, axis=-1)
        mean = keras.ops.convert_to_tensor(self.record.mean, "float32")
        std = keras.ops.convert_to_tensor(self.record.std, "float32")
        return keras.ops.cast((x * self.record.scale - mean) / std, self.compute_dtype)

    def compute_output_spec(self, images: Any) -> keras.KerasTensor:
        return keras.KerasTensor(images.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("trainable", None)
        return {**config, "record": dataclasses.asdict(self.record)}
