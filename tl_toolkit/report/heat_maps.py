"""Which places of an image a logit comes from.

Every head here is linear in averages and maxima over places of a block's output, so that a logit is a sum over places:
class activation maps (Zhou et al. 2016), for the last block alone or for all. No gradient is taken, and nothing is
approximated: the maps add up to the logit.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import matplotlib
import numpy as np
from PIL import Image

from tl_toolkit.models.deep_graph import recursion_room
from tl_toolkit.models.flipped_views import VIEWS, FlippedViews
from tl_toolkit.models.head import BLOCKS_HEAD, FEATURES_HEAD, LOGITS_HEAD, new_head

VIEWS_AT_ONCE = 8  # of 300 px, all blocks of a ResNet-50 are 40 MB a view
BLOCK_OUTPUT = "_out"
COLOURS = "inferno"
STRONGEST = 0.7  # opacity of the place that says most


def heat_maps(
    model: keras.Model, images: np.ndarray, classes: Sequence[int], *, several: bool = False
) -> np.ndarray:
    """Returns what every place of an image adds to the logit of a class.

    Softmax sees differences of logits only, so the class is compared with the mean over all classes: a map's sum is
    logit minus mean logit, less what the biases give. A maximum counts at the place where it is; where it is at several,
    in equal parts.

    Args:
        model: An assembled classifier, with its head on features, logits or all blocks.
        images: float32[n, height, width, 3], as the model takes them: RGB, 0-255.
        classes: n numbers of classes, one an image.
        several: Whether an image may have several labels: each logit then stands alone, and is compared with none.

    Returns:
        float32[n, rows, columns]: places of the last block's output; with a head on all blocks, twice as fine. Positive
        speaks for the class, negative against it.
    """
    of_blocks = _kernels(model, compared=not several)
    with recursion_room(len(model.layers)):
        blocks = keras.Model(
            model.input, [model.get_layer(block + BLOCK_OUTPUT).output for block in of_blocks]
        )
    views = VIEWS if any(isinstance(layer, FlippedViews) for layer in model.layers) else 1
    at_once, maps = VIEWS_AT_ONCE // views, []
    for start in range(0, len(images), at_once):
        outputs = blocks(images[start : start + at_once], training=False)
        of_batch = np.tile(np.asarray(classes[start : start + at_once]), views)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        finest, last = outputs[0].shape[1:3], outputs[-1].shape[1:3]
        grid = [min(2 * side, most) for side, most in zip(last, finest, strict=True)]
        found = np.zeros((len(of_batch), *grid))
        for output, kernels in zip(outputs, of_blocks.values(), strict=True):
            pixels = np.asarray(keras.ops.cast(output, "float32"))
            found += _on_grid(_contributions(pixels, kernels, of_batch), grid)
        maps.append(_turned_back(found) if views > 1 else found)
    return np.concatenate(maps).astype(np.float32)


def overlay(photo: np.ndarray, heat_map: np.ndarray) -> np.ndarray:
    """Draws what speaks for a class over a grey version of the photo: the brighter, the more.

    Args:
        photo: uint8[height, width, 3].
        heat_map: float[rows, columns], over the same area. Only what is positive is drawn.

    Returns:
        uint8[height, width, 3].
    """
    height, width = photo.shape[:2]
    strength = np.maximum(heat_map, 0).astype(np.float32)
    strength /= max(float(strength.max()), np.finfo(np.float32).tiny)
    resized = Image.fromarray(strength).resize((width, height), Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(resized), 0, 1)[..., None]
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32)[..., None]
    colours = 255 * matplotlib.colormaps[COLOURS](strength[..., 0])[..., :3]
    opacity = STRONGEST * strength
    return np.round(grey * (1 - opacity) + colours * opacity).astype(np.uint8)


def small_overlay(photo: np.ndarray, heat_map: np.ndarray, longest_side: int) -> np.ndarray:
    """As `overlay`, of a photo that is made no larger than `longest_side` pixels."""
    small = Image.fromarray(photo)
    small.thumbnail((longest_side, longest_side))
    return overlay(np.asarray(small), heat_map)


def _kernels(
    model: keras.Model, *, compared: bool
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Returns, by block, the kernels on its averages and maxima, float64[channels, classes]; compared: less their classes' mean."""
    head = new_head(model)
    kernel = np.asarray(head.kernel, np.float64)
    if head.name == LOGITS_HEAD:  # two linear layers are one
        kernel = np.asarray(model.get_layer(FEATURES_HEAD).kernel, np.float64) @ kernel
    if compared:
        kernel = kernel - kernel.mean(axis=1, keepdims=True)
    blocks = [
        layer.name.removesuffix(BLOCK_OUTPUT)
        for layer in model.layers
        if layer.name.endswith(BLOCK_OUTPUT)
    ]
    if head.name != BLOCKS_HEAD:
        return {blocks[-1]: (kernel, None)}
    kernels: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    start = 0
    for block in blocks:
        channels = model.get_layer(block + BLOCK_OUTPUT).output.shape[-1]
        average, maximum = np.split(kernel[start : start + 2 * channels], 2)
        kernels[block] = average, maximum
        start += 2 * channels
    return kernels


def _contributions(
    output: np.ndarray, kernels: tuple[np.ndarray, np.ndarray | None], classes: np.ndarray
) -> np.ndarray:
    """Returns float64[n, height, width], of a block's output, float32[n, height, width, channels]."""
    average, maximum = kernels
    height, width = output.shape[1:3]
    found = np.zeros(output.shape[:3])
    for number, label in enumerate(classes):  # one at a time: a large image's outputs are large
        pixels = output[number]
        found[number] = pixels @ average[:, label].astype(np.float32) / (height * width)
        if maximum is not None:
            largest = pixels.max(axis=(0, 1))
            is_largest = pixels == largest
            shares = maximum[:, label] * largest / is_largest.sum(axis=(0, 1))
            found[number] += is_largest @ shares.astype(np.float32)
    return found


def _on_grid(maps: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    """Deals maps out on another grid over the same area: a place gives each cell what lies in it."""
    down, across = (
        _overlaps(before, after) for before, after in zip(maps.shape[1:], grid, strict=True)
    )
    return np.einsum("ri,nij,cj->nrc", down, maps, across)


def _overlaps(before: int, after: int) -> np.ndarray:
    """Returns float64[after, before]: of each of `before` equal parts of a line, the share within each of `after`."""
    starts, cells = np.arange(before) / before, np.arange(after)[:, None] / after
    inside = np.minimum(starts + 1 / before, cells + 1 / after) - np.maximum(starts, cells)
    return np.maximum(inside, 0) * before


def _turned_back(maps: np.ndarray) -> np.ndarray:
    """Averages the maps of each image's mirrored views, laid over the image as it is."""
    plain, mirrored, upside_down, both = np.split(maps, VIEWS)
    across, down = mirrored[:, :, ::-1], upside_down[:, ::-1]
    return (plain + across + down + both[:, ::-1, ::-1]) / VIEWS
