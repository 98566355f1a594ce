"""Small classifiers of every kind that is exported, with answers that are not all 0 or 1."""

import dataclasses
import json

import numpy as np
import tensorflow as tf
from tiny import BOTTLENECK, TINY, randomise

from tl_toolkit.catalog import PREPROCESSING, Architecture
from tl_toolkit.export.frame_network import FrameNetwork
from tl_toolkit.models.head import assemble_classifier, new_head

SIDE, CLASSES = 32, ("ant", "bee", "Käfer", "wasp")
KINDS = {
    "features": (TINY, "rescale", {}),
    "bottleneck": (BOTTLENECK, "imagenet", {}),
    "imagenet_stem": (Architecture("bottleneck", (1, 2), "v1", width=8), "caffe", {}),
    "logits": (TINY, "caffe", {"on": "logits", "original_classes": 6}),
    "all_blocks": (BOTTLENECK, "imagenet", {"on": "all_blocks"}),
    "flips": (TINY, "imagenet", {"tta": "flips"}),
}


THRESHOLDS = dict(zip(CLASSES, (0.3, 0.5, 0.6, 0.75), strict=True))


def frame_network(kind="features", several=False):
    """A network with random weights, whose logits have a standard deviation of 1; it may give several labels."""
    architecture, preprocessing, options = KINDS[kind]
    record = dataclasses.replace(PREPROCESSING[preprocessing], image_size=SIDE)
    model = randomise(assemble_classifier(architecture, record, len(CLASSES), **options))
    logits = model(frames(16), training=False).numpy()
    head = new_head(model)
    head.kernel.assign(head.kernel / logits.std(0))
    head.bias.assign((head.bias - logits.mean(0)) / logits.std(0))
    card = {"class_names": list(CLASSES), "preprocessing": dataclasses.asdict(record)}
    if several:
        card["thresholds"] = THRESHOLDS
    return FrameNetwork(model, json.loads(json.dumps(card)))


def frames(count=5):
    """float32[count, 32, 32, 3], no whole numbers, each of a colour of its own."""
    random = np.random.default_rng(3)
    colours = random.uniform(20, 230, (count, 1, 1, 3))
    return (colours + random.uniform(-20, 20, (count, SIDE, SIDE, 3))).astype(np.float32)


def expected(network, images):
    """The probabilities of the network as it was trained."""
    probabilities = tf.nn.sigmoid if network.has_several_labels else tf.nn.softmax
    return probabilities(network.model(images, training=False)).numpy()
