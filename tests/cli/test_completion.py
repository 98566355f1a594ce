"""Shell completion, by the commands that the page of the command line gives."""

import pathlib
import shutil
import subprocess
import sys

import pytest

from tl_toolkit.cli import app

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "command_line.md"


@pytest.fixture(scope="module")
def script():
    command = [sys.executable, "-m", "tl_toolkit.cli", "--tyro-print-completion", "bash"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_knows_every_command_and_flag(script):
    for name in app.COMMANDS:
        assert name in script
    assert "--labels-per-class" in script
    assert "tl-toolkit --tyro-print-completion bash" in PAGE.read_text()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_takes_it(script, tmp_path):
    (tmp_path / "completion").write_text(script)
    asked = f"source {tmp_path / 'completion'}; complete -p tl-toolkit"
    process = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("complete ")
