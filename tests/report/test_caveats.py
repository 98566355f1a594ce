"""A figure that means little says so."""

import numpy as np
import pytest

from tl_toolkit.report.caveats import caveats
from tl_toolkit.report.metrics import classification_metrics

LABELS = np.repeat([0, 1], [60, 40])


def metrics(right):
    """Figures of a classifier that has the first `right` images of 100 right."""
    predicted = np.where(np.arange(100) < right, LABELS, 1 - LABELS)
    return classification_metrics(np.eye(2)[predicted], LABELS, ["a", "b"])


@pytest.mark.parametrize(("right", "doubted"), [(50, True), (62, True), (75, False), (100, False)])
def test_an_accuracy_that_the_most_frequent_class_would_give_is_doubted(right, doubted):
    lines = caveats(metrics(right), 0)
    assert len(lines) == doubted
    if doubted:
        assert lines[0].endswith("always answering the most frequent class (0.600)")


def test_test_images_that_were_seen_are_counted():
    (line,) = caveats(metrics(100), 3)
    assert line.startswith("3 of 100 test images were learned from, or selected by, in the run")
