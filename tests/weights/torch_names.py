"""State dicts with PyTorch's names, and what torchvision's ResNet computes from one, in raw TensorFlow ops.

Nothing here knows the toolkit's builders: stride, padding, order and ε are written out from the paper and
from torchvision's documentation.
"""

import numpy as np
import tensorflow as tf


def state_dict(block, counts, width=64, classes=1000, seed=0):
    """A network's tensors with random weights and random batch statistics."""
    random = np.random.default_rng(seed)
    state = {}

    def convolution(name, out, into, size):
        scale = (2 / (into * size * size)) ** 0.5
        state[f"{name}.weight"] = random.normal(0, scale, (out, into, size, size))

    def normalisation(name, channels, gamma=1.0):
        state[f"{name}.weight"] = random.uniform(0.5, 1.5, channels) * gamma
        state[f"{name}.bias"] = random.normal(0, 0.1, channels)
        state[f"{name}.running_mean"] = random.normal(0, 0.1, channels)
        state[f"{name}.running_var"] = random.uniform(0.5, 1.5, channels)
        state[f"{name}.num_batches_tracked"] = np.array(7)

    convolution("conv1", width, 3, 7)
    normalisation("bn1", width)
    into = width
    for stage, count in enumerate(counts):
        inner = width * 2**stage
        out = inner * (4 if block == "bottleneck" else 1)
        for number in range(count):
            prefix = f"layer{stage + 1}.{number}"
            sizes = (1, 3, 1) if block == "bottleneck" else (3, 3)
            channels = [into, *[inner] * (len(sizes) - 1), out]
            for index, size in enumerate(sizes):
                convolution(f"{prefix}.conv{index + 1}", channels[index + 1], channels[index], size)
                last = index == len(sizes) - 1
                normalisation(f"{prefix}.bn{index + 1}", channels[index + 1], 0.3 if last else 1.0)
            if number == 0 and (stage > 0 or into != out):
                convolution(f"{prefix}.downsample.0", out, into, 1)
                normalisation(f"{prefix}.downsample.1", out)
            into = out
    state["fc.weight"] = random.normal(0, into**-0.5, (classes, into))
    state["fc.bias"] = random.normal(0, 0.1, classes)
    return {
        name: value if value.ndim == 0 else value.astype(np.float32)
        for name, value in state.items()
    }


def logits(state, images, stride_on=2):
    """What torchvision's ResNet answers, as float32[batch, classes].

    Args:
        state: The tensors.
        images: float32[batch, height, width, 3], preprocessed.
        stride_on: Convolution of a bottleneck that has the stage's stride: 2 in torchvision (v1.5).
    """

    def convolution(x, name, stride=1):
        kernel = state[f"{name}.weight"].transpose(2, 3, 1, 0)
        pad = (kernel.shape[0] - 1) // 2
        x = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        return tf.nn.conv2d(x, kernel, stride, "VALID")

    def normalisation(x, name):
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return (x - mean) / np.sqrt(variance + 1e-5) * state[f"{name}.weight"] + state[
            f"{name}.bias"
        ]

    x = tf.nn.relu(normalisation(convolution(tf.constant(images), "conv1", 2), "bn1"))
    x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-np.inf)
    x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    for stage in range(1, 5):
        number = 0
        while f"layer{stage}.{number}.conv1.weight" in state:
            prefix = f"layer{stage}.{number}"
            stride = 2 if stage > 1 and number == 0 else 1
            strided = stride_on if f"{prefix}.conv3.weight" in state else 1
            shortcut = x
            if f"{prefix}.downsample.0.weight" in state:
                shortcut = convolution(x, f"{prefix}.downsample.0", stride)
                shortcut = normalisation(shortcut, f"{prefix}.downsample.1")
            index = 1
            while f"{prefix}.conv{index}.weight" in state:
                x = x if index == 1 else tf.nn.relu(x)
                x = convolution(x, f"{prefix}.conv{index}", stride if index == strided else 1)
                x = normalisation(x, f"{prefix}.bn{index}")
                index += 1
            x = tf.nn.relu(x + shortcut)
            number += 1
    features = tf.reduce_mean(x, [1, 2])
    return (features @ state["fc.weight"].T + state["fc.bias"]).numpy()
