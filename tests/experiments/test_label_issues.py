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
    assert found.doubted.tolist() == [1, 3]
    assert found.suggested[[1, 3]].tolist() == true[[1, 3]].tolist()
    assert set(found.order[:2].tolist()) == {1, 3}
    assert np.all(np.diff(found.margin[found.order[2:]]) >= 0)


def test_a_class_without_photos_is_never_suggested():
    probabilities = np.array([[0.1, 0.2, 0.7]] * 3 + [[0.7, 0.2, 0.1]] * 3)
    found = label_issues(probabilities, np.array([0, 0, 1, 0, 1, 1]))
    assert 2 not in found.suggested
