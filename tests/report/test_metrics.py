"""Figures agree with scikit-learn's, and the interval with the theory's."""

import json

import numpy as np
import pytest
import scipy.special
import sklearn.metrics

from tl_toolkit.report.metrics import classification_metrics, log_loss, wilson_interval

NAMES = ["ant", "bee", "cat", "dog"]


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state, and clearing it takes a third of a second a test."""


def predictions(seed, absent=(), unpredicted=(), n=200):
    """Random logits that are right a little more often than by chance, and labels."""
    random = np.random.default_rng(seed)
    labels = random.choice([c for c in range(4) if c not in absent], n, p=None)
    logits = random.normal(0, 2, (n, 4)).astype(np.float32)
    logits[np.arange(n), labels] += 1.5
    logits[:, list(unpredicted)] = -50
    return logits, labels.astype(np.int64)


@pytest.mark.parametrize(
    ("absent", "unpredicted"),
    [((), ()), ((2,), ()), ((2,), (2,)), ((), (0,)), ((0, 3), (1,))],
    ids=["all", "one never occurs", "nor is predicted", "one is never predicted", "two of four"],
)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("error")
def test_figures_are_those_of_scikit_learn(seed, absent, unpredicted):
    logits, labels = predictions(seed, absent, unpredicted)
    predicted = logits.argmax(axis=-1)
    metrics = classification_metrics(logits, labels, NAMES)

    assert metrics["examples"] == 200
    assert metrics["top1"] == sklearn.metrics.accuracy_score(labels, predicted)
    present = [c for c in range(4) if c not in absent]
    recalls = sklearn.metrics.recall_score(labels, predicted, labels=present, average=None)
    assert metrics["balanced_accuracy"] == pytest.approx(recalls.mean(), abs=1e-12)
    report = sklearn.metrics.classification_report(
        labels, predicted, labels=range(4), target_names=NAMES, output_dict=True, zero_division=0
    )
    assert list(metrics["classes"]) == NAMES
    for name, figures in metrics["classes"].items():
        theirs = report[name]
        assert figures == pytest.approx(
            {
                "precision": theirs["precision"],
                "recall": theirs["recall"],
                "f1": theirs["f1-score"],
                "support": theirs["support"],
            },
            abs=1e-12,
        )
    expected = sklearn.metrics.confusion_matrix(labels, predicted, labels=range(4))
    assert metrics["confusion_matrix"] == expected.tolist()
    for c in absent:
        assert metrics["classes"][NAMES[c]]["support"] == 0
        assert metrics["confusion_matrix"][c] == [0, 0, 0, 0]
    for c in unpredicted:
        assert metrics["classes"][NAMES[c]]["precision"] == 0.0


def test_balanced_accuracy_weighs_each_class_that_occurs_alike():
    labels = np.array([0] * 90 + [1] * 10)
    logits = np.zeros((100, 3), np.float32)
    logits[:, 0] = 1.0  # everything is called class 0
    metrics = classification_metrics(logits, labels, ["common", "rare", "absent"])
    assert (metrics["top1"], metrics["balanced_accuracy"]) == (0.9, 0.5)


def test_figures_are_plain_json():
    metrics = classification_metrics(*predictions(0, absent=(1,)), NAMES)
    assert json.loads(json.dumps(metrics)) == metrics


@pytest.mark.parametrize("seed", range(3))
def test_log_loss_is_that_of_scikit_learn(seed):
    logits, labels = predictions(seed, absent=(2,))
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    expected = sklearn.metrics.log_loss(labels, probabilities, labels=range(4))
    assert log_loss(logits, labels) == pytest.approx(expected, rel=1e-9)
    log_probabilities = scipy.special.log_softmax(logits, axis=-1)
    assert log_loss(log_probabilities, labels) == pytest.approx(expected, rel=1e-5)


def test_log_loss_of_a_sure_mistake_is_finite():
    logits = np.array([[300.0, 0.0]], np.float32)
    assert log_loss(logits, np.array([1])) == pytest.approx(300.0, rel=1e-6)
    assert log_loss(logits, np.array([0])) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.73, 0.97])
@pytest.mark.parametrize("examples", [100, 1000, 10_000])
def test_the_interval_is_about_two_standard_errors_to_each_side(share, examples):
    low, high = wilson_interval(round(share * examples), examples)
    assert low < share < high
    half = 1.96 * np.sqrt(share * (1 - share) / examples)
    assert (high - low) / 2 == pytest.approx(half, rel=0.12)


@pytest.mark.parametrize("examples", [1, 5, 12, 1000])
def test_the_interval_of_all_or_none_is_that_of_wilson(examples):
    z2 = 1.959964**2
    low, high = wilson_interval(examples, examples)
    assert high == pytest.approx(1.0)
    assert low == pytest.approx(examples / (examples + z2), abs=1e-6)
    assert wilson_interval(0, examples) == pytest.approx([0.0, 1 - low], abs=1e-12)


def test_twelve_of_twelve_right_is_no_certainty():
    logits, labels = np.eye(12, 3, dtype=np.float32), np.r_[0, 1, 2, np.zeros(9, int)]
    metrics = classification_metrics(logits, labels, ["a", "b", "c"])
    assert metrics["top1"] == 1.0
    assert metrics["top1_interval"] == pytest.approx([0.7575, 1.0], abs=1e-4)


@pytest.mark.parametrize("examples", [1, 2, 3, 7, 50])
def test_the_interval_holds_the_share_of_any_number_of_examples(examples):
    for right in range(examples + 1):
        low, high = wilson_interval(right, examples)
        assert 0 <= low <= right / examples <= high <= 1
