"""Held-back answers are those counted by hand."""

import numpy as np
import pytest

from tl_toolkit.report.held_back import held_back, held_back_curve


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state, and clearing it takes a third of a second a test."""


CONFIDENCES = np.array([0.95, 0.9, 0.9, 0.7, 0.6])
LOGITS = np.log(np.stack([CONFIDENCES, 1 - CONFIDENCES], axis=1))
LABELS = np.array([0, 0, 1, 0, 1])  # right, right, wrong, right, wrong


def test_answers_at_the_probability_itself_are_given():
    at = float(np.exp(LOGITS[3] - np.logaddexp(*LOGITS[3]))[0])
    found = held_back(LOGITS, LABELS, at)
    assert (found["given"], found["held_back"], found["top1"]) == (4, pytest.approx(0.2), 0.75)
    low, high = found["top1_interval"]
    assert low < 0.75 < high
    none = held_back(LOGITS, LABELS, 0.99)
    assert (none["given"], none["held_back"], none["top1"], none["top1_interval"]) == (
        0,
        1.0,
        None,
        None,
    )
    assert held_back(LOGITS, LABELS, 0)["top1"] == 0.6


def test_the_curve_holds_back_answers_of_equal_probability_together():
    shares, accuracies = held_back_curve(LOGITS, LABELS)
    np.testing.assert_allclose(shares, [0, 0.2, 0.4, 0.8])
    np.testing.assert_allclose(accuracies, [3 / 5, 3 / 4, 2 / 3, 1])


def test_the_curve_passes_through_every_threshold():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 2, (200, 3)), rng.integers(0, 3, 200)
    shares, accuracies = held_back_curve(logits, labels)
    for below in (0.4, 0.6, 0.8):
        row = held_back(logits, labels, below)
        (place,) = np.flatnonzero(np.isclose(shares, row["held_back"]))
        assert accuracies[place] == pytest.approx(row["top1"])
