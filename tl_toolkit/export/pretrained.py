"""Weights with their original head as a classifier, with no training: ImageNet's 1,000 classes, mostly."""

from __future__ import annotations

import keras
import tensorflow as tf

from tl_toolkit.catalog import BLOCK_COUNTS, CATALOG
from tl_toolkit.errors import InputError
from tl_toolkit.export.endpoints import make_endpoints
from tl_toolkit.export.tensor_endpoints import endpoints_of_tensors
from tl_toolkit.models.fold import inference_engine
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.models.resnet import kernels_follow
from tl_toolkit.weights import hugging_face, keras_hub_preset
from tl_toolkit.weights.load import load_source
from tl_toolkit.weights.resolve import IMAGENET, open_weights

SCHEMES = (hugging_face.SCHEME, keras_hub_preset.SCHEME)


def names_weights(name: str) -> bool:
    """Whether this is a network's name, such as `"resnet50"`, or that of weights, and not a path."""
    return name in BLOCK_COUNTS or name in CATALOG or name.startswith(SCHEMES)


def build_pretrained(name: str) -> tuple[dict, dict, keras.Model]:
    """Builds the classifier that the weights were published as.

    Args:
        name: `"resnet50"` for the best available ImageNet weights of that network, or what
            `open_weights` takes.

    Returns:
        Its endpoints, as those of a SavedModel, its card, and the network.

    Raises:
        InputError: The weights are not available, have no head, or do not name their classes or preprocessing.
    """
    source = open_weights(IMAGENET, name) if name in BLOCK_COUNTS else open_weights(name)
    spec = source.spec
    preprocessing = spec.preprocessing if spec is not None else None
    needed = {
        "a head": spec is not None and spec.classes,
        "their classes' names": spec is not None and spec.class_names,
        "their preprocessing": preprocessing,
    }
    missing = [what for what, value in needed.items() if not value]
    if spec is None or preprocessing is None or missing:
        raise InputError(
            f"The weights {name!r} do not come with {' and '.join(missing)}, so they cannot classify "
            "without training: tl-toolkit train starts from them."
        )
    with kernels_follow():
        model = assemble_classifier(spec.architecture, preprocessing, spec.classes)
    load_source(model, source)
    endpoints = {
        endpoint: tf.function(function, input_signature=[signature], autograph=False)
        for endpoint, (function, signature) in make_endpoints(
            inference_engine(model), preprocessing, spec.class_names
        ).items()
    }
    card = {
        "class_names": list(spec.class_names),
        "facts": {"weights": spec.name, "licence of the weights": spec.licence},
        "notes": list(source.notes),
    }
    return endpoints_of_tensors(endpoints), card, model
