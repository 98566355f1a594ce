"""Temperatures are found where they are known, and calibration errors are those counted by hand."""

import numpy as np
import pytest
from scipy.special import log_softmax

from tl_toolkit.report.calibration import brier_score, error_by_chance, fit_temperature, reliability


def labels_drawn(logits, seed=0):
    """A label of each row, drawn with the probabilities that the logits say."""
    noise = np.random.default_rng(seed).gumbel(size=logits.shape)
    return (logits + noise).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    logits = np.random.default_rng(1).normal(0, 2, (20000, 4))
    labels = labels_drawn(logits)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)
    raw, scaled = (
        logits * temperature,
        logits * temperature / fit_temperature(logits * temperature, labels),
    )
    assert reliability(scaled, labels).calibration_error < 0.02
    if temperature != 1:
        assert reliability(raw, labels).calibration_error > 0.1


def test_a_classifier_that_is_always_right_or_wrong_has_a_temperature_within_bounds():
    logits = np.eye(3)[np.arange(300) % 3]
    assert fit_temperature(logits, np.arange(300) % 3) == pytest.approx(0.5, rel=1e-3)
    assert fit_temperature(logits, (np.arange(300) + 1) % 3) == pytest.approx(10, rel=1e-3)


def test_bins_are_those_counted_by_hand():
    given = np.array([0.51, 0.52, 0.91, 0.92, 0.93, 1.0])
    logits = np.log(np.stack([given, 1 - given + 1e-300], axis=1))
    found = reliability(logits, np.array([0, 1, 0, 0, 1, 0]))
    assert found.counts.tolist() == [0] * 7 + [2] + [0] * 5 + [3, 1]
    np.testing.assert_allclose(found.confidences[[7, 13, 14]], [0.515, 0.92, 1.0])
    np.testing.assert_allclose(found.accuracies[[7, 13, 14]], [0.5, 2 / 3, 1.0])
    assert found.calibration_error == pytest.approx((2 * 0.015 + 3 * (0.92 - 2 / 3)) / 6)


@pytest.mark.parametrize("images", [60, 600])
def test_the_error_that_chance_makes_is_that_of_labels_drawn_as_the_probabilities_say(images):
    logits = np.random.default_rng(2).normal(0, 2, (images, 4))
    drawn = [reliability(logits, labels_drawn(logits, seed)) for seed in range(400)]
    mean = np.mean([found.calibration_error for found in drawn])
    assert error_by_chance(drawn[0]) == pytest.approx(mean, rel=0.04)


def test_chance_makes_no_error_of_answers_that_are_sure():
    found = reliability(np.array([[0.0, -np.inf]] * 3), np.zeros(3, np.int64))
    assert error_by_chance(found) == 0


def test_the_brier_score_is_that_counted_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    expected = (0.3**2 + 0.2**2 + 0.1**2 + 0.9**2 + 0.1**2 + 0.8**2) / 2
    assert brier_score(np.log(probabilities), np.array([0, 0])) == pytest.approx(expected)


def test_no_other_temperature_has_a_lower_log_loss():
    logits = np.random.default_rng(2).normal(0, 3, (500, 3))
    labels = labels_drawn(logits / 2)
    found = fit_temperature(logits, labels)

    def loss(temperature):
        return -log_softmax(logits / temperature, axis=1)[np.arange(500), labels].mean()

    assert all(loss(found) <= loss(found * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2))
