"""Files are whole or absent."""

import os

import pytest

from tl_toolkit.files.atomic import write_json, write_text, written_aside


def test_a_file_is_replaced_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "page.md"
    write_text(path, "größe")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text("utf-8") == "größe"
    assert path.read_text("utf-8") == "new"
    assert os.listdir(tmp_path) == ["page.md"]


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "values.json"
    write_json(path, {"a": 1})

    def fail():
        with written_aside(path) as aside:
            aside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert os.listdir(tmp_path) == ["values.json"]


def test_a_file_name_that_is_not_utf8_can_stand_in_a_text(tmp_path):
    write_text(tmp_path / "page.md", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "page.md").read_text("utf-8") == r"caf\udce9"
