"""Plots are drawn whatever the answers are and the classes are called."""

import numpy as np
import pytest
from PIL import Image

from tl_toolkit.report.answer_plots import plot_held_back, plot_roc
from tl_toolkit.report.curves import HeldBackCurve
from tl_toolkit.report.held_back import MARKS, held_back, held_back_curve
from tl_toolkit.report.plots import plot_comparison, plot_confusion_matrix
from tl_toolkit.report.two_classes import ranking_curves

pytestmark = pytest.mark.usefixtures("plots")
ODD = r"b $\x$"  # what matplotlib takes for mathematics, and cannot read


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state, and clearing it takes a third of a second a test."""


def ink(path):
    with Image.open(path) as plot:
        pixels = np.asarray(plot.convert("L"))
    assert min(pixels.shape) > 300
    return (pixels < 200).mean()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("right", [0, 1], ids=["all wrong", "all right"])
def test_extremes_are_drawn_too(right, tmp_path):
    labels = np.arange(8) % 2
    logits = np.eye(2)[labels if right else 1 - labels] * 3
    marks = [held_back(logits, labels, below) for below in MARKS]
    curve = HeldBackCurve(*held_back_curve(logits, labels), marks)
    plot_held_back(curve, tmp_path / "held_back.png")
    plot_roc(ranking_curves(logits, labels, 1), ODD, [], tmp_path / "roc.png")
    assert 0.005 < ink(tmp_path / "held_back.png") < 0.5
    assert 0.005 < ink(tmp_path / "roc.png") < 0.5


def test_odd_names_are_drawn_as_they_are(tmp_path):
    plot_confusion_matrix([[3, 1], [0, 4]], [ODD, "c"], tmp_path / "matrix.png")
    plot_comparison({"new_head": [0.9]}, f"folder:{ODD}", tmp_path / "comparison.png")
    assert (tmp_path / "matrix.png").stat().st_size > 5000
    assert (tmp_path / "comparison.png").stat().st_size > 5000
