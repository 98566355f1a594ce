"""Features that a picture's mirror images share: the mean over four views, computed as one batch."""

from __future__ import annotations

from typing import Any

import keras

VIEWS = 4  # as it is, mirrored left to right, top to bottom, and both


@keras.saving.register_keras_serializable(package="tl_toolkit")
class FlippedViews(keras.layers.Layer):
    """Stacks four views of every image: as they are, mirrored left to right, top to bottom, and both.

    Input: float[batch, height, width, channels].
    Output: float[4 x batch, height, width, channels]: all images under one view, then all under the next.
    """

    def call(self, images: Any) -> Any:
        mirrored = keras.ops.flip(images, axis=2)
        upside_down = [keras.ops.flip(view, axis=1) for view in (images, mirrored)]
        return keras.ops.concatenate([images, mirrored, *upside_down], axis=0)

    def compute_output_spec(self, images: Any) -> keras.KerasTensor:
        return keras.KerasTensor((None, *images.shape[1:]), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="tl_toolkit")
class MeanOfViews(keras.layers.Layer):
    """Averages what was computed of each image's views by `FlippedViews`.

    Input: float[4 x batch, features]. Output: float[batch, features].
    """

    def call(self, features: Any) -> Any:
        return keras.ops.mean(keras.ops.reshape(features, (VIEWS, -1, features.shape[-1])), axis=0)

    def compute_output_spec(self, features: Any) -> keras.KerasTensor:
        return keras.KerasTensor((None, *features.shape[1:]), dtype=self.compute_dtype)
