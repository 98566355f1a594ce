"""Where a loss falls fastest over a rising learning rate, and when that cannot be said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl_toolkit.report.learning_rate_curve import smoothed_losses, suggest_learning_rate

RATES = np.geomspace(1e-6, 1, 100)


def curve(middle=1e-3, width=1.0, start=2.3, bottom=0.5, blows_up_at=0.1):
    """Falls along a sigmoid, fastest at `middle`, and explodes."""
    losses = bottom + (start - bottom) / (1 + np.exp((np.log(RATES / middle)) / width))
    return losses + np.maximum(RATES / blows_up_at - 1, 0) ** 2


def suggest(losses, rates=RATES):
    return suggest_learning_rate(rates[: len(losses)], smoothed_losses(losses), losses)


@given(st.floats(1e-5, 1e-2), st.floats(0.3, 1.0), st.floats(0.5, 10.0))
def test_the_steepest_place_is_found(middle, width, start):
    rate, reason = suggest(curve(middle, width, start, bottom=start / 5))
    assert rate == pytest.approx(middle, rel=0.2)
    assert "falls fastest" in reason


@given(st.integers(0, 1000))
def test_noise_that_is_small_beside_the_fall_moves_it_little(seed):
    noise = np.random.default_rng(seed).normal(0, 0.1, len(RATES))
    rate, _ = suggest(curve() + noise)
    assert 1e-3 / 8 < rate < 1e-3 * 8


@given(st.floats(0.1, 10.0), st.integers(0, 1000))
def test_a_flat_curve_gives_none(level, seed):
    noise = np.random.default_rng(seed).normal(0, 0.02 * level, len(RATES))
    rate, reason = suggest(level + noise)
    assert rate is None
    assert "flat" in reason or "noisy" in reason


def test_noise_alone_gives_none():
    """But for one curve in a hundred."""
    random = np.random.default_rng(0)
    found = [suggest(2 + random.normal(0, 0.5, len(RATES)))[0] for _ in range(300)]
    assert sum(rate is not None for rate in found) <= 3


def test_a_loss_that_only_rises_gives_none():
    rate, reason = suggest(0.1 + np.maximum(RATES / 0.01 - 1, 0))
    assert (rate, "flat" in reason) == (None, True)


def test_a_loss_that_explodes_at_once_gives_none():
    rate, reason = suggest(np.array([2.0, 3.0, 80.0]))
    assert rate is None
    assert "begin with a lower rate" in reason


def test_the_ends_are_no_answer():
    rate, reason = suggest(curve(middle=1e-7, bottom=0.1))
    assert (rate, "lower one" in reason) == (None, True)
    rate, reason = suggest(curve(middle=1e2, blows_up_at=1e9, start=2.3, bottom=-200))
    assert (rate, "higher one" in reason) == (None, True)
