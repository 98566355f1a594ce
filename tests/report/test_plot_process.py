"""Another process draws the same plots, and what goes wrong there is not lost."""

import errno
import os
import signal
import sys

import numpy as np
import pytest

from tl_toolkit.report.calibration import reliability
from tl_toolkit.report.curves import HeldBackCurve
from tl_toolkit.report.draw_run import draw_run
from tl_toolkit.report.held_back import held_back_curve
from tl_toolkit.report.plot_process import plot_process
from tl_toolkit.report.run_plots import AnswerPlots, ContactSheet, RunPlots, SheetRow
from tl_toolkit.report.two_classes import ranking_curves

pytestmark = pytest.mark.usefixtures("plots")


@pytest.fixture(autouse=True)
def _quick_processes(python, monkeypatch):
    monkeypatch.setattr(sys, "executable", python)


def run_plots():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(20, 2)), np.arange(20) % 2
    images = rng.integers(0, 255, (2, 8, 8, 3)).astype(np.uint8)
    answers = AnswerPlots(
        class_names=("a", "b"),
        confusion_matrix=[[7, 3], [2, 8]],
        reliability={"as served": reliability(logits, labels)},
        held_back=HeldBackCurve(*held_back_curve(logits, labels), []),
        ranking=ranking_curves(logits, labels, 1),
        positive="b",
    )
    return RunPlots(
        answers,
        history=[{"epoch": 1, "loss": 1.0, "top1": 0.5}, {"epoch": 2, "loss": 0.5, "top1": 0.9}],
        sheet=ContactSheet([SheetRow("a", images, [[], []])], ["evaluation", "epoch 1"], "Title"),
    )


@pytest.mark.slow
def test_it_draws_what_this_process_would(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    with plot_process() as process:
        process.draw(run_plots(), there)
        draw_run(run_plots(), here)
        process.wait()
    drawn = {path.name: path.read_bytes() for path in here.iterdir()}
    assert sorted(drawn) == [
        "confusion_matrix.png",
        "contact_sheet.png",
        "held_back.png",
        "reliability.png",
        "roc.png",
        "training_curves.png",
    ]
    assert {path.name: path.read_bytes() for path in there.iterdir()} == drawn


def test_what_drawing_raises_is_raised_here(tmp_path):
    with plot_process() as process:
        process.draw(run_plots(), tmp_path / "missing")
        with pytest.raises(FileNotFoundError, match=r"contact_sheet\.png") as raised:
            process.wait()
    assert raised.value.errno == errno.ENOENT  # a full disk is known by its number


def test_a_process_that_was_killed_is_told(tmp_path):
    with plot_process() as process:
        os.kill(process._process.pid, signal.SIGKILL)
        process.draw(run_plots(), tmp_path)
        with pytest.raises(RuntimeError, match="draws the plots ended with -9"):
            process.wait()


def test_one_that_draws_nothing_ends_with_its_block():
    with plot_process() as process:
        pass
    assert process._process.poll() is not None
