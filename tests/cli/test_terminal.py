"""What a terminal, and what a file, gets to see of a training."""

import io

import keras
import pytest
from rich.console import Console
from tl_toolkit.cli.progress_bar import ProgressBar

from tl_toolkit.training import progress


def train(console, epochs=3, steps=4, done=0):
    bar = ProgressBar(console, "new_head")
    hooks = keras.callbacks.CallbackList([bar], model=keras.Model())
    hooks.set_params({"epochs": epochs, "steps": steps})
    hooks.on_train_begin({"epochs_done": done})
    for epoch in range(done, epochs):
        for step in range(steps):
            hooks.on_train_batch_end(step, {"loss": 1.0})
        hooks.on_epoch_end(epoch, {"epoch": epoch + 1, "loss": 0.5, "val_top1": 0.25})
    finished = bar._bar and bar._bar.tasks[0].completed
    bar.close()
    return finished


@pytest.mark.parametrize("done", [0, 2])
def test_a_terminal_gets_a_bar_that_ends_at_the_last_step(done):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    assert train(console, done=done) == 12
    assert "loss 0.500 val_top1 0.250" in screen.getvalue()


def test_a_file_gets_a_line_only_as_often_as_said(monkeypatch):
    screen = io.StringIO()
    train(Console(file=screen, width=120))
    assert screen.getvalue() == ""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    train(Console(file=screen, width=120))
    lines = screen.getvalue().splitlines()
    assert lines[1] == "new_head: epoch 2/3 loss 0.500 val_top1 0.250"
    assert len(lines) == 3
