"""The loss over a rising learning rate: where it falls fastest, and when it shows nothing."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

DIVERGED = 4.0  # times the lowest smoothed loss: fastai's lr_find stops there too
SMOOTHED_OVER = (
    2.0  # steps; centred, so that the curve does not lag behind the rates as a running mean would
)
FEWEST_STEPS = 20
SMALLEST_FALL = 0.1  # of the loss at the lowest rates
NOISES = 5.0  # the fall must be so many standard deviations of the smoothed curve
# Of white noise, what a Gaussian over so many steps lets through: 1 / √(2 √π σ).
LET_THROUGH = (2 * np.sqrt(np.pi) * SMOOTHED_OVER) ** -0.5


def smoothed_losses(losses: np.ndarray) -> np.ndarray:
    """Returns float64[steps]: the losses through a Gaussian of `SMOOTHED_OVER` steps, ends repeated."""
    return gaussian_filter1d(np.asarray(losses, np.float64), SMOOTHED_OVER, mode="nearest")


def suggest_learning_rate(
    rates: np.ndarray, smoothed: np.ndarray, losses: np.ndarray
) -> tuple[float | None, str]:
    """Returns the rate of steepest descent before the minimum, and why; None where the curve shows none.

    Args:
        rates: float64[steps], rising.
        smoothed: float64[steps], `smoothed_losses(losses)`.
        losses: float64[steps].
    """
    if len(losses) < FEWEST_STEPS:
        return None, (
            f"the loss rose beyond measure after {len(losses)} steps, at a rate of {rates[-1]:.1e}, before anything "
            "could be seen: begin with a lower rate"
        )
    bottom = int(np.argmin(smoothed))
    start = float(np.median(losses[: max(len(losses) // 4, 1)]))  # by the lowest rates
    fall, noise = start - smoothed[bottom], _noise(losses)
    if fall < SMALLEST_FALL * start:
        return None, (
            f"the curve is flat: the loss falls from {start:.3g} to {smoothed[bottom]:.3g} at most"
        )
    if fall < NOISES * noise:
        return None, (
            f"the curve is noisy: the loss falls by {fall:.2g}, and from batch to batch it differs by "
            f"{noise / LET_THROUGH:.2g}; larger batches or more steps make it clearer"
        )
    slopes = np.gradient(smoothed, np.log(rates))
    steepest = int(np.argmin(slopes[: bottom + 1]))
    # Repeated ends make the curve flat there.
    if steepest <= 2 * SMOOTHED_OVER:
        return None, (
            f"the loss falls fastest at the lowest rates, from {rates[0]:.1e} on: begin with a lower one"
        )
    if steepest >= len(rates) - 1 - 2 * SMOOTHED_OVER:
        return None, (
            f"the loss still falls ever faster at the highest rate, {rates[-1]:.1e}: go on to a higher one"
        )
    return float(rates[steepest]), (
        f"there the loss falls fastest; it is lowest at {rates[bottom]:.1e}, and rises beyond"
        if bottom < len(rates) - 1
        else "there the loss falls fastest"
    )


def _noise(losses: np.ndarray) -> float:
    """The standard deviation of the smoothed curve that comes from the batches.

    From second differences, which a slope does not enter, by the median, which a divergence at the end does not.
    """
    second = losses[2:] - 2 * losses[1:-1] + losses[:-2]
    of_a_batch = np.median(np.abs(second)) / 0.6745 / np.sqrt(6)
    return float(of_a_batch * LET_THROUGH)
