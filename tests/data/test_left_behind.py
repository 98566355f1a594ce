"""What systems and tools leave among photos is told by its name."""

import pathlib

import pytest

from tl_toolkit.data.left_behind import (
    is_left_behind_file,
    is_left_behind_folder,
    left_behind_note,
)


@pytest.mark.parametrize(
    ("name", "is_file", "is_folder"),
    [
        ("Thumbs.db", True, False),
        ("DESKTOP.INI", True, False),
        (".DS_Store", True, True),
        ("._IMG_1.jpg", True, True),
        ("labels.CSV", True, False),
        ("__MACOSX", False, True),
        (".ipynb_checkpoints", True, True),
        ("System Volume Information", False, True),
        ("IMG_1.jpg", False, False),
        ("thumbs.db.jpg", False, False),
        ("csv", False, False),
        ("cats.txt.png", False, False),
    ],
)
def test_a_name_is_told(name, is_file, is_folder):
    assert (is_left_behind_file(name), is_left_behind_folder(name)) == (is_file, is_folder)


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ([], []),
        (["a/b.txt"], ["ignored 1 file or folder that is not a photo: b.txt"]),
        (["Thumbs.db", "a/Thumbs.db", "a.csv"],
         ["ignored 3 files and folders that are not photos: Thumbs.db (2), a.csv"]),
        ([f"{n}.txt" for n in range(6)],
         ["ignored 6 files and folders that are not photos: "
          "0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 1 other name"]),
    ],
    ids=len,
)  # fmt: skip
def test_one_note_counts_them_all_and_names_the_commonest(names, note):
    assert left_behind_note(map(pathlib.Path, names)) == note
