"""`tl-toolkit report`, and pages that are opened when they are done."""

import shutil
import sys
import webbrowser

import pytest

from tl_toolkit.cli import app, open_page
from tl_toolkit.progress import Progress


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs `tl-toolkit` with words and returns (exit code, what it printed)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["tl-toolkit", *map(str, words)])
        try:
            app.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        output = capsys.readouterr()
        return code, output.out + output.err

    return run


@pytest.fixture
def opened(monkeypatch):
    """What the browser was asked to open."""
    asked = []
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or True)
    return asked


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(finished_run.folder, tmp_path / "a run")


def test_the_page_of_a_run_is_made_named_and_opened(run, command, opened):
    (run / "report.html").unlink()
    code, text = command("report", run, "--open", "--no-photos")
    assert code == 0
    assert f"The page: {run / 'report.html'}".replace("\n", "") in text.replace("\n", "")
    assert opened == [(run / "report.html").resolve().as_uri()]
    assert "made without photos" in (run / "report.html").read_text("utf-8")


def test_several_runs_make_one_page_where_it_is_asked_for(run, command, opened, tmp_path):
    code, _ = command("report", run, run, "--output", tmp_path / "both.html")
    assert code == 0
    assert "cannot tell A from B" in (tmp_path / "both.html").read_text("utf-8")
    assert opened == []
    code, text = command("report", run, run, "--output", tmp_path / "both.html")
    assert code == 2
    assert "--overwrite" in text
    assert command("report", run, run, "--output", tmp_path / "both.html", "--overwrite")[0] == 0


def test_what_is_no_run_is_refused_in_words(command, tmp_path):
    code, text = command("report", tmp_path)
    assert code == 2
    assert "is no finished run" in " ".join(text.split())


def test_without_a_browser_it_says_what_to_open(monkeypatch, tmp_path):
    said = []

    class Said(Progress):
        def message(self, text):
            said.append(text)

    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    open_page.open_page(tmp_path / "report.html", Said())
    assert said == [
        f"There is no browser here to open it with: copy {tmp_path / 'report.html'} to where there is one."
    ]
