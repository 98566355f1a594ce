"""`tl-toolkit verify`, as a person types it."""

import json

import pytest
from damage import files_of

from tl_toolkit.cli.verify import verify
from tl_toolkit.errors import InputError
from tl_toolkit.files.manifest import MANIFEST, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("plan.json", "model.keras", "summary.md"):
        (tmp_path / "run" / name).write_text(f"{name} as it was")
    write_manifest(tmp_path / "run", files_of(tmp_path / "run"))
    return tmp_path / "run"


def test_a_whole_folder_is_said_to_be_whole(folder, capsys):
    (folder / "mine.txt").write_text("mine")
    verify(folder)
    assert capsys.readouterr().out == "unknown: mine.txt\n3 files are as they were written\n"


def test_every_fault_is_listed_and_the_exit_code_is_that_of_wrong_input(folder, capsys):
    (folder / "plan.json").unlink()
    (folder / "model.keras").write_text("model.keras as it is")
    (folder / "summary.md").write_text("summary.md as it wax")
    wrong = r"Damaged or missing: 3 of 3 files of '.*run', such as 'model\.keras'\. Restore them"
    with pytest.raises(InputError, match=wrong) as ended:
        verify(folder)
    assert ended.value.exit_code == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "damaged: model.keras has 20 bytes and was written with 21"
    assert lines[1].startswith("damaged: summary.md has the sha256 ")
    assert lines[2:] == ["missing: plan.json", "0 files are as they were written"]
    with pytest.raises(InputError):
        verify(folder, json=True)
    found = json.loads(capsys.readouterr().out)
    assert set(found["damaged"]) == {"model.keras", "summary.md"}
    assert (found["missing"], found["intact"], found["unknown"]) == (["plan.json"], [], [])


def test_without_a_manifest_there_is_nothing_to_compare_with(folder):
    (folder / MANIFEST).unlink()
    with pytest.raises(InputError, match="so nothing says what its files were"):
        verify(folder)
