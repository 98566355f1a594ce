"""Why moving statistics are not those of the data: what a layer's figures show, and the mending."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tl_toolkit.catalog import ADAPT

# Median gaps beyond these change what a layer gives visibly: by a quarter of a standard deviation, or its scale by
# a quarter and more. A choice, not a law: `top1` and `log_loss` say what the gaps cost.
SERIOUS_MEAN_GAP = 0.25  # standard deviations
SERIOUS_VARIANCE_GAP = 0.5  # of log variance
ONE_CHANNEL_GAP = 3.0  # standard deviations of the wider of the two, in a single channel
# What the number of images leaves open comes on top, so many standard errors of it.
STANDARD_ERRORS = 2.0
STANDARD_ERRORS_OF_ONE_CHANNEL = 5.0
# A layer lags if its channels stand at the same share of the way from a new layer's values to the data's, in means and
# in variances; means near 0 tell nothing. Asked are channels that have a way to go, in
# standard deviations and in parts of the variance.
SMALLEST_WAY, FEWEST_CHANNELS = 0.3, 2
AGREEING, AGREEMENT = 0.75, 0.1  # this share of them to within that
SMALLEST_RESIDUE = 0.05
# Pixels of 0-255 where 0-1 belong, or the other way round, to within a factor of 4.
PIXEL_SCALE, SCALE_TOLERANCE = 255.0, 4.0

BROKEN = "not finite"
NEVER_UPDATED = "never updated"
LAGGING = "lagging"
NOISY = "small batches"
INPUT = "preprocessing"
FIXED = "fixed statistics"
INHERITED = "inherited"
OTHER = "other data"

WHAT_HELPS = {
    BROKEN: "Train again from sound weights: no recomputation mends what is not a number before it.",
    NEVER_UPDATED: "Recompute them with tl.recompute_batch_norm(model, images), or train in 'adapt' mode; if the layer "
    "is to keep its statistics, start from weights that bring them.",
    LAGGING: "Recompute them with tl.recompute_batch_norm(model, images); next time choose a momentum of "
    "1 - 3 / steps of an epoch (as tl.run does), or train for longer.",
    NOISY: "Recompute them with tl.recompute_batch_norm(model, images); next time take larger batches, or bn_mode='affine', "
    "which keeps the pretrained statistics.",
    INPUT: "Give the network the pixels that its weights were trained on (0-255 for a model with this toolkit's "
    "preprocessing layer) before anything else is mended.",
    FIXED: "As they are meant to be: frozen and affine layers keep the statistics of the images before. If the log "
    "loss with batch statistics is clearly lower, train in 'adapt' mode, or recompute them with "
    "tl.recompute_batch_norm(model, images, fixed='recompute') and train the head again.",
    INHERITED: "Nothing to do here: mend the layers before.",
    OTHER: "Recompute them with tl.recompute_batch_norm(model, images) if these are the images that will be served.",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a layer when the cause is looked for; arrays are float64[channels].

    Attributes:
        mode: Of the layer.
        momentum: Of its moving statistics.
        epsilon: Of the layer.
        moving_mean, moving_variance: Its moving statistics.
        mean, variance: Of its input where the layers before it normalise by batch, as in training.
        is_serious: Whether the layer's gap is, as served.
        own_is_serious: Whether it is where the layers before it normalise by batch.
        noise: Standard deviation that batches of the training's size leave in the moving mean, in the data's, as
            a median; None where that size is not known.
        own_mean_gap: Median, in standard deviations, where the layers before it normalise by batch.
    """

    mode: str
    momentum: float
    epsilon: float
    moving_mean: np.ndarray
    moving_variance: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    is_serious: bool
    own_is_serious: bool
    noise: float | None
    own_mean_gap: float


def causes(
    layers: Sequence[Evidence], steps: int | None, dark_pixels: bool = False
) -> list[tuple[str, str]]:
    """Returns, for each layer in the order of the network, (cause, explanation); empty where it is healthy.

    Args:
        layers: What is known of them.
        steps: Updates of the training; None: not known.
        dark_pixels: Whether all pixels are between 0 and 1, and the model's preprocessing takes 0-255.
    """
    found: list[tuple[str, str]] = []
    for layer in layers:
        found.append(_cause(layer, steps, dark_pixels, found) if layer.is_serious else ("", ""))
    return found


def _cause(
    layer: Evidence, steps: int | None, dark_pixels: bool, before: Sequence[tuple[str, str]]
) -> tuple[str, str]:
    causes_before = {cause for cause, _ in before} - {""}
    if not np.isfinite([layer.moving_mean, layer.moving_variance]).all():
        return BROKEN, "the statistics are not finite numbers"
    if causes_before & {INPUT, BROKEN} or (causes_before and not layer.own_is_serious):
        return INHERITED, "the input is off because of what is wrong before"
    if not np.isfinite([layer.mean, layer.variance]).all():
        return BROKEN, "the layer's inputs are not finite numbers"
    if not layer.moving_mean.any() and (layer.moving_variance == 1).all():
        return (
            NEVER_UPDATED,
            "means of 0 and variances of 1: the values that a new layer begins with",
        )
    if not before and dark_pixels:
        return INPUT, "all pixels are between 0 and 1, where the network takes 0-255"
    if not before and (scale := _scale_of_pixels(layer)) is not None:
        return INPUT, f"its input is {scale} than that which its statistics come from"
    if layer.mode != ADAPT:
        return FIXED, (
            f"the layer is {layer.mode}: its statistics are those of the images that the weights come from, and "
            "these images differ"
        )
    if (residue := _residue(layer)) is not None:
        return LAGGING, _lag(layer.momentum, residue, steps)
    if steps is not None and layer.momentum**steps > 0.5:
        return LAGGING, _lag(layer.momentum, None, steps)
    if layer.noise is not None and layer.own_mean_gap <= STANDARD_ERRORS * layer.noise:
        return NOISY, (
            f"batches of the training leave a noise of {layer.noise:.2g} standard deviations at momentum "
            f"{layer.momentum:g}"
        )
    return (
        OTHER,
        "the statistics come from other images, from another preprocessing, or were set by hand",
    )


def _scale_of_pixels(layer: Evidence) -> str | None:
    """Whether all channels of the first layer are wider or narrower by the factor between 0-1 and 0-255."""
    if not len(scales := _scales(layer)):
        return None
    scale = float(np.median(scales))
    if abs(abs(scale) - math.log(PIXEL_SCALE)) > math.log(SCALE_TOLERANCE):
        return None
    factor = f"{math.exp(abs(scale)):.0f} times"
    if scale > 0:
        return f"{factor} narrower (as pixels of 0-1 are where 0-255 belong)"
    return f"{factor} wider (as pixels of 0-255 are where 0-1 belong)"


def _scales(layer: Evidence) -> np.ndarray:
    """Returns the logarithms of moving over own standard deviations, of channels that have both."""
    some = (layer.variance > 0) & (layer.moving_variance > 0)
    return 0.5 * np.log(layer.moving_variance[some] / layer.variance[some])


def _residue(layer: Evidence) -> float | None:
    """The share of a new layer's mean 0 and variance 1 that is left in the moving statistics; None if none fits."""
    deviation = np.sqrt(layer.variance + layer.epsilon)
    left_of_means = _left(layer.moving_mean, layer.mean, 0.0, SMALLEST_WAY * deviation)
    left_of_variances = _left(
        layer.moving_variance, layer.variance, 1.0, SMALLEST_WAY * deviation**2
    )
    groups = [left for left in (left_of_means, left_of_variances) if len(left) >= FEWEST_CHANNELS]
    if sum(map(len, groups)) < 2 * FEWEST_CHANNELS or len(left_of_variances) < FEWEST_CHANNELS:
        return None
    if len(groups) < 2 and np.ptp(_scales(layer)) < SMALLEST_WAY:
        return None  # data of another scale look the same
    residue = float(np.median(np.concatenate(groups)))
    agree = all(np.mean(np.abs(left - residue) <= AGREEMENT) >= AGREEING for left in groups)
    return min(residue, 1.0) if agree and residue > SMALLEST_RESIDUE else None


def _left(moving: np.ndarray, data: np.ndarray, first: float, least: np.ndarray) -> np.ndarray:
    """Returns the share of the way from `first` to the data's that is left to go, where that way is long enough."""
    way = np.abs(data - first) > least
    return (moving[way] - data[way]) / (first - data[way])


def _lag(momentum: float, residue: float | None, steps: int | None) -> str:
    if steps is not None:
        kept = f"momentum {momentum:g} keeps {momentum**steps:.0%} of the old statistics after {steps} steps"
        return kept if residue is None else f"{kept}; {residue:.0%} of a new layer's are left"
    left = f"about {residue:.0%} of a new layer's mean 0 and variance 1 are left"
    if residue is None or not 0 < momentum < 1 or residue >= 1:
        return left
    return f"{left}, as after {math.log(residue) / math.log(momentum):.0f} steps at momentum {momentum:g}"
