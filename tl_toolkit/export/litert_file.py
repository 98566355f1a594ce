"""A classifier as a LiteRT (TensorFlow Lite) file, by TensorFlow's own converter.

Keras' own export to LiteRT gives the network as it was trained: logits, and one signature, for float32.
"""

from __future__ import annotations

import pathlib
import tempfile
import zipfile

import tensorflow as tf

from tl_toolkit.export.frame_network import FrameNetwork
from tl_toolkit.export.runtimes import FLOAT_SIGNATURE, IMAGES, PROBABILITIES, UINT8_SIGNATURE
from tl_toolkit.models.fold import inference_engine


def write(network: FrameNetwork, path: pathlib.Path) -> None:
    """Writes a .tflite file with two signatures that share their weights.

    `serve_images` takes `images` as uint8[batch, size, size, 3], `serve_float_images` as float32; both give
    `probabilities`, float32[batch, classes]. The batch can be of any size. The metadata are files in a ZIP archive at
    the file's end, as LiteRT's own metadata has its files: `unzip -l` shows them.
    """
    path.write_bytes(lite_model(network))
    append_metadata(network, path)


def lite_model(network: FrameNetwork) -> bytes:
    """Returns the file without metadata."""
    engine = inference_engine(network.model, "float32")
    probabilities = tf.nn.sigmoid if network.has_several_labels else tf.nn.softmax

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {PROBABILITIES: probabilities(engine(tf.cast(images, tf.float32)))}

    shape = (None, *network.frame_shape)
    signatures = {
        name: tf.function(
            serve, input_signature=[tf.TensorSpec(shape, dtype, IMAGES)], autograph=False
        ).get_concrete_function()
        for name, dtype in ((UINT8_SIGNATURE, tf.uint8), (FLOAT_SIGNATURE, tf.float32))
    }
    with tempfile.TemporaryDirectory() as scratch:
        tf.saved_model.save(tf.Module(), scratch, signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            scratch, signature_keys=list(signatures)
        )
        return converter.convert()


def append_metadata(network: FrameNetwork, path: pathlib.Path) -> None:
    """Appends the metadata to a .tflite file, which runtimes read to the end of the model only."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in network.metadata.items():
            archive.writestr(f"{name}.json", text)
        archive.writestr("labels.txt", "".join(f"{c}\n" for c in network.card["class_names"]))
