"""File names as users give them and as systems have them."""

import os
import pathlib

import pytest

from tl_toolkit.data.file_names import path_in_text, printable, user_path, utf8_text
from tl_toolkit.errors import InputError

LATIN1 = os.fsdecode(b"caf\xe9.jpg")


def test_what_is_no_text_is_printed_byte_by_byte():
    assert printable(pathlib.Path("größe") / LATIN1) == r"größe/caf\xe9.jpg"
    assert printable("日本.png") == "日本.png"


def test_a_name_is_text_where_it_is_utf8():
    assert utf8_text("größe") == "größe"
    assert utf8_text(LATIN1) is None


def test_a_path_in_a_text_names_the_bytes_of_its_utf8():
    assert os.fsencode(path_in_text("größe")) == "größe".encode()


def test_the_home_folder_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/photos") == pathlib.Path("/home/me/photos")
    assert user_path("photos/~") == pathlib.Path("photos/~")


@pytest.mark.parametrize(
    ("text", "reason"), [("a\0b", "the character 0"), ("~nobody-at-all/x", "home directory")]
)
def test_what_cannot_be_a_path_is_refused(text, reason):
    with pytest.raises(InputError, match=f"is not a path: .*{reason}"):
        user_path(text)
