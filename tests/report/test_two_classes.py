"""Thresholds find what they were chosen to find, and ranking figures are scikit-learn's."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.special import softmax

from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.report.two_classes import (
    HeldOut,
    at_threshold,
    choose_threshold,
    ranking_metrics,
    threshold_rows,
)


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state, and clearing it takes a third of a second a test."""


def logits_of(probabilities, positive=1):
    """Logits whose softmax gives the positive class those probabilities."""
    p = np.asarray(probabilities, float)
    columns = [np.log1p(-p), np.log(p)]
    return np.stack(columns if positive == 1 else columns[::-1], axis=1)


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (60, 2)).round(1)
    labels = rng.integers(0, 2, 60)
    for positive in (0, 1):
        scores = logits[:, positive] - logits[:, 1 - positive]
        pairs = scores[labels == positive][:, None] - scores[labels != positive][None]
        expected = (pairs > 0).mean() + (pairs == 0).mean() / 2
        found = ranking_metrics(logits, labels, positive)
        assert found["roc_auc"] == pytest.approx(expected)
    one_way, other = (ranking_metrics(logits, labels, p) for p in (0, 1))
    assert one_way["roc_auc"] == pytest.approx(other["roc_auc"])


def test_average_precision_is_that_counted_by_hand():
    found = ranking_metrics(logits_of([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0]), 1)
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["roc_auc"] == pytest.approx(3 / 4)


def test_probabilities_that_are_1_to_rounding_are_still_ranked():
    logits = np.array([[0, 60], [0, 50], [0, 55], [0, 45]], np.float32)
    assert ranking_metrics(logits, np.array([1, 0, 1, 0]), 1)["roc_auc"] == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("only", [0, 1])
def test_where_one_class_occurs_there_is_nothing_to_rank(only):
    logits = logits_of([0.2, 0.7])
    metrics = classification_metrics(logits, np.array([only, only]), ["a", "b"], 1)
    assert (metrics["roc_auc"], metrics["average_precision"]) == (None, None)
    assert metrics["positive_class"] == "b"


def test_without_a_positive_class_the_figures_are_as_they_were():
    metrics = classification_metrics(logits_of([0.2, 0.7]), np.array([0, 1]), ["a", "b"])
    assert not {"roc_auc", "average_precision", "positive_class"} & set(metrics)


def test_a_threshold_is_that_counted_by_hand():
    positives = [0.9005, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2505, 0.2005, 0.1234567]
    logits = logits_of([*positives, 0.95, 0.15])
    held_out = HeldOut(logits, np.array([1] * 10 + [0] * 2), "validation images")
    assert choose_threshold(held_out, 1, 0.8) == 0.25
    assert choose_threshold(held_out, 1, 0.81) == 0.2
    assert choose_threshold(held_out, 1, 1.0) == 0.123
    assert choose_threshold(held_out, 1, 0.001) == 0.9
    assert choose_threshold(HeldOut(logits, np.zeros(12, int), ""), 1, 0.9) is None
    found = at_threshold(logits, held_out.labels, 1, 0.25)
    assert found == pytest.approx({"found": 0.8, "false_alarms": 0.5, "precision": 8 / 9})


@given(
    st.lists(st.floats(-40, 40), min_size=1, max_size=60),
    st.floats(0.001, 1),
    st.sampled_from([0, 1]),
)
def test_a_threshold_finds_the_share_and_is_short_enough_to_print(scores, share, positive):
    logits = np.zeros((len(scores), 2))
    logits[:, positive] = scores
    labels = np.full(len(scores), positive)
    threshold = choose_threshold(HeldOut(logits, labels, ""), positive, share)
    assert at_threshold(logits, labels, positive, threshold)["found"] >= share - 1e-9
    assert float(f"{threshold:.15g}") == threshold
    # Nothing much higher would do.
    probabilities = softmax(logits, axis=1)[:, positive]
    needed = np.sort(probabilities)[::-1][int(np.ceil(share * len(scores) - 1e-9)) - 1]
    assert needed - 0.0011 <= threshold <= needed


def test_rows_are_chosen_on_other_images_and_measured_on_the_test():
    held_out = HeldOut(logits_of([0.9, 0.6, 0.3, 0.8]), np.array([1, 1, 1, 0]), "validation images")
    test = logits_of([0.95, 0.4, 0.35, 0.1]), np.array([1, 1, 0, 0])
    rows = threshold_rows(held_out, test, 1, None)
    assert [row["find"] for row in rows] == [0.9, 0.95, 0.99]
    (row,) = threshold_rows(held_out, test, 1, 0.5)
    assert row == {
        "find": 0.5,
        "threshold": 0.6,
        "chosen_on": "validation images",
        "images": 4,
        "positive_images": 3,
        "test": {"found": 0.5, "false_alarms": 0.0, "precision": 1.0},
    }
    assert threshold_rows(None, test, 1, 0.5) == []
