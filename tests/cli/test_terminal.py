"""What a terminal, and what a file, gets to see of a run."""

import io
import logging
import pathlib
import subprocess
import sys

import keras
import pytest
from rich.console import Console

from tl_toolkit.cli import terminal
from tl_toolkit.cli.quiet import _loggers_write_to
from tl_toolkit.cli.terminal import TerminalProgress
from tl_toolkit.progress import Table
from tl_toolkit.training.report import ReportTraining


def train(progress, epochs=3, steps=4, done=0):
    """Returns how many steps the bar had counted at the end."""
    with ReportTraining(progress, "Training [new] head") as report:
        hooks = keras.callbacks.CallbackList([report], model=keras.Model())
        hooks.set_params({"epochs": epochs, "steps": steps})
        hooks.on_train_begin({"epochs_done": done})
        for epoch in range(done, epochs):
            for step in range(steps):
                hooks.on_train_batch_end(step, {"loss": 1.0})
            hooks.on_epoch_end(epoch, {"epoch": epoch + 1, "loss": 0.5, "val_top1": 0.25})
        tasks = progress._bars.tasks
        return tasks[0].completed if tasks else None


def screen(is_terminal):
    return Console(file=io.StringIO(), force_terminal=is_terminal, width=160)


@pytest.mark.parametrize("done", [0, 2])
def test_a_terminal_gets_a_bar_that_ends_at_the_last_step_and_is_taken_away(done):
    console = screen(is_terminal=True)
    progress = TerminalProgress(console)
    assert train(progress, done=done) == 12
    assert progress._bars.tasks == []
    shown = console.file.getvalue()
    assert "Training [new] head" in shown
    assert "epoch 3/3 loss 0.500 val_top1 0.250" in shown


def test_stages_within_stages_share_one_display():
    console = screen(is_terminal=True)
    progress = TerminalProgress(console)
    with progress.stage("Searching", total=2) as outer:
        with progress.stage("Training", total=1) as inner:
            inner.advance()
            progress._bars.refresh()
        progress.show(Table(("trial", "val_loss"), (("0", "0.5"),), "1 of 2 trials"))
        outer.advance()
        progress._bars.refresh()
    shown = console.file.getvalue()
    for text in ("Searching", "Training", "val_loss", "1 of 2 trials"):
        assert text in shown


def test_a_file_gets_a_line_only_as_often_as_said(monkeypatch):
    console = screen(is_terminal=False)
    train(TerminalProgress(console))
    assert console.file.getvalue() == ""
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", 0.0)
    train(TerminalProgress(console))
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "Training [new] head: 1 of 12"
    assert lines[-1] == "Training [new] head: 12 of 12 epoch 3/3 loss 0.500 val_top1 0.250"


def test_a_file_gets_a_line_of_what_took_a_second_and_cannot_be_counted(monkeypatch):
    clock = iter([0.0, 0.0, 2.34, 5.0, 5.0, 5.9])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    console = screen(is_terminal=False)
    progress = TerminalProgress(console)
    with progress.stage("Exporting [it]"):
        pass
    with progress.stage("Testing"):
        pass
    assert console.file.getvalue() == "Exporting [it]: 2.3 s\n"


def test_a_stage_within_another_gets_no_line(monkeypatch):
    monkeypatch.setattr(terminal, "SECONDS_WORTH_A_LINE", 0.0)
    console = screen(is_terminal=False)
    progress = TerminalProgress(console)
    with progress.stage("Searching", total=2), progress.stage("Building the network"):
        pass
    with pytest.raises(ZeroDivisionError), progress.stage("Exporting"):
        raise ZeroDivisionError
    assert console.file.getvalue() == ""
    with progress.stage("Testing"):
        pass
    assert console.file.getvalue() == "Testing: 0.0 s\n"


def test_lines_beside_json_go_to_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "SECONDS_WORTH_A_LINE", 0.0)
    with (
        terminal.terminal(verbose=True, beside_json=True) as progress,
        progress.stage("Classifying"),
    ):
        pass
    assert capsys.readouterr() == ("", "Classifying: 0.0 s\n")


def test_a_file_gets_a_line_in_place_of_a_table():
    console = screen(is_terminal=False)
    TerminalProgress(console).show(Table(("a",), (("1",),)), "trial 0: 1")
    TerminalProgress(console).show(Table(("a",), (("1",),)))
    assert console.file.getvalue() == "trial 0: 1\n"


def test_numbers_stand_to_the_right_and_text_to_the_left():
    console = screen(is_terminal=False)
    table = Table(("strategy", "accuracy"), (("new_head", "0.5"), ("all", "0.25")))
    console.print(terminal.drawn(table))
    rows = [
        line.strip("|│").split("│") for line in console.file.getvalue().splitlines() if "0." in line
    ]
    assert [cell for row in rows for cell in row] == [
        " new_head ",
        "      0.5 ",
        " all      ",
        "     0.25 ",
    ]


NOISY = """
import logging, os, sys, warnings
from tl_toolkit.cli.terminal import terminal

logging.basicConfig()
with terminal({verbose}) as progress:
    import tensorflow as tf
    os.write(2, b"from C++\\n")
    logging.getLogger("tensorflow").warning("retracing")
    print("from the user", file=sys.stderr)
    logging.error("logged by the user")
    warnings.warn("a warning of the user's")
    progress.message(f"log {{progress.log_file}}")
    log = progress.log_file.read_text() if progress.log_file else ""
    {last}
print("log holds", "from C++" in log, "retracing" in log, "cuda" in log.lower())
print("gone", not progress.log_file.exists() if progress.log_file else None)
os.write(2, b"C++ after the end\\n")
"""


def run_noisy(last="", verbose=False):
    script = NOISY.format(last=last, verbose=verbose)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_tensorflows_lines_go_to_a_log_and_the_users_own_do_not():
    process = run_noisy()
    lines = [line for line in process.stderr.splitlines() if "warnings.warn" not in line]
    assert process.returncode == 0
    assert lines[:2] == ["from the user", "ERROR:root:logged by the user"]
    assert "a warning of the user's" in lines[2]
    assert lines[3:] == ["C++ after the end"]
    assert process.stdout.splitlines()[1:] == ["log holds True True True", "gone True"]


@pytest.mark.long
def test_an_error_of_the_users_code_is_seen_and_the_log_is_kept_and_named():
    process = run_noisy(last="1 / 0")
    assert process.returncode == 1
    assert "ZeroDivisionError" in process.stderr
    assert "from C++" not in process.stderr
    path = process.stderr.partition("TensorFlow's messages are in ")[2].splitlines()[0]
    with open(path) as file:
        assert "from C++" in file.read()


@pytest.mark.long
def test_verbose_leaves_tensorflows_lines_where_they_are():
    process = run_noisy(verbose=True)
    assert "from C++" in process.stderr
    assert "retracing" in process.stderr


def test_a_log_on_a_full_disk_stops_nobody(monkeypatch, capfd):
    with _loggers_write_to(pathlib.Path("/dev/full")):
        logging.getLogger("absl").warning("nobody has room for this")
    assert capfd.readouterr() == ("", "")


def test_in_a_narrow_terminal_no_cell_is_cut_off():
    row = ("litert-int8", "0.56", "4_of_419", "a-name-of-many-letters.jpeg")
    console = Console(width=40, file=io.StringIO())
    console.print(terminal.drawn(Table(("format", "off by", "changed", "such as"), (row,))))
    drawn = console.file.getvalue().splitlines()
    lines = [line.split("│")[1:-1] for line in drawn if line.startswith("│")]
    cells = ["".join(part.strip() for part in parts) for parts in zip(*lines, strict=True)]
    assert tuple(cells) == row
    assert lines[0][0].strip() == "litert-int8"  # the row's name is on one line
