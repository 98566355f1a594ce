"""Confident learning, against what cleanlab 2.9 (Apache-2.0) gives."""

import numpy as np

from tl_toolkit.experiments.label_issues import label_issues


def test_doubts_are_those_of_cleanlab():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 60)
    labels = true.copy()
    labels[:6] = (labels[:6] + 1) % 3
    probabilities = np.full((60, 3), 0.15) + rng.uniform(0, 0.25, (60, 3))
    probabilities[np.arange(60), true] += rng.uniform(0.1, 1, 60)
    probabilities /= probabilities.sum(1, keepdims=True)
    found = label_issues(probabilities, labels)
    # find_label_issues(labels, probabilities, filter_by="confident_learning"), by normalized_margin
    assert found.doubted[:2].tolist() == [1, 3]
    # That many of those that are confidently of a class, of all photos 3 (of cleanlab, which rounds every cell, 2).
    assert found.doubted[2:].tolist() == [5]
    assert found.suggested[[1, 3, 5]].tolist() == true[[1, 3, 5]].tolist()
    others = np.setdiff1d(np.arange(60), [1, 3, 5])
    assert found.suggested[others].tolist() == labels[others].tolist()
    assert np.all(np.diff(found.margin[found.order[2:]]) >= 0)


def test_as_many_are_doubted_as_are_wrong_and_not_only_the_confident():
    """Half the wrong labels are of photos that are less sure than their class is on average."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 2000)
    wrong = rng.choice(2000, 100, replace=False)
    labels = true.copy()
    labels[wrong] = 1 - true[wrong]
    sure = rng.uniform(0.6, 1, 2000)
    probabilities = np.where(np.arange(2) == true[:, None], sure[:, None], 1 - sure[:, None])
    found = label_issues(probabilities, labels)
    assert 90 <= found.count <= 110  # of them about half confidently
    assert np.isin(wrong, found.doubted).sum() >= 90
    assert (found.suggested[found.doubted] != labels[found.doubted]).all()


def test_no_label_is_doubted_that_is_likelier_than_all_others():
    probabilities = np.array([[0.9, 0.1]] * 8 + [[0.55, 0.45]] * 2 + [[0.1, 0.9]] * 10)
    labels = np.array([0] * 9 + [1] + [1] * 10)
    found = label_issues(probabilities, labels)
    assert set(found.doubted.tolist()) <= {9}


def test_a_class_without_photos_is_never_suggested():
    probabilities = np.array([[0.1, 0.2, 0.7]] * 3 + [[0.7, 0.2, 0.1]] * 3)
    found = label_issues(probabilities, np.array([0, 0, 1, 0, 1, 1]))
    assert 2 not in found.suggested
