"""Files and folders that a user names, as a list of photos."""

import pathlib

import pytest

from tl_toolkit.data.photo_files import photo_files
from tl_toolkit.errors import InputError


def test_a_folder_stands_for_its_photos_by_name(tmp_path):
    for name in (
        "b.jpg",
        "a.PNG",
        "inner/c.webp",
        "inner/noending",
        "inner/sound.ogg",
        "drawing.svg",
        "labels.csv",
        "Thumbs.db",
        ".hidden.jpg",
        "@eaDir/x.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = photo_files([str(tmp_path), "elsewhere.ogg"])
    names = ["a.PNG", "b.jpg", "inner/c.webp", "inner/noending"]
    assert found == [*(tmp_path / name for name in names), pathlib.Path("elsewhere.ogg")]


def test_a_folder_without_photos_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="holds no photos"):
        photo_files([str(tmp_path)])
