"""What an audit looks at: every photo that a source names, good or bad, and none of them read."""

import numpy as np
import pytest

from tl_toolkit.data.listing import list_photos


@pytest.fixture
def folder(tmp_path):
    """Files that are no photos: a listing does not look into them."""
    for name in ("train/cat/b.jpg", "train/cat/a.jpg", "train/dog/deep/c.jpg", "test/dog/d.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "photos" / "test" / "cat").mkdir()
    (tmp_path / "photos" / "train" / "cat" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "photos" / "train" / "loose.jpg").write_bytes(b"")
    return tmp_path / "photos"


def test_a_folder_lists_its_files_with_their_classes_and_splits(folder):
    listing = list_photos(f"folder:{folder}")
    below = [name.removeprefix(f"{folder}/") for name in listing.names]
    assert below == ["train/cat/a.jpg", "train/cat/b.jpg", "train/dog/deep/c.jpg", "test/dog/d.jpg"]
    assert [listing.class_names[label] for label in listing.labels] == ["cat", "cat", "dog", "dog"]
    assert listing.splits.tolist() == ["train", "train", "train", "test"]
    assert listing.groups.tolist() == [""] * 4
    assert listing.weights.tolist() == [1.0] * 4
    assert (len(listing), listing.are_files) == (4, True)
    assert [listing.read(k).decode() for k in range(4)] == below
    assert any("1 file directly in" in note for note in listing.notes)
    assert any("Thumbs.db" in note for note in listing.notes)


def test_a_file_that_is_gone_is_listed_and_reading_it_says_so(folder):
    listing = list_photos(f"folder:{folder}")
    (folder / "train" / "cat" / "b.jpg").unlink()
    with pytest.raises(FileNotFoundError):
        listing.read(1)
    assert listing.read(0) == b"train/cat/a.jpg"


def test_a_table_lists_its_rows_with_groups_weights_and_splits_also_of_missing_files(tmp_path):
    (tmp_path / "labels.csv").write_text(
        "file,label,split,group,weight\na.jpg,cat,train,p1,2\nnone.jpg,dog,train,,1\nc.jpg,cat,test,p1,0.5\n"
    )
    for name in ("a.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    listing = list_photos(f"csv:{tmp_path / 'labels.csv'}")
    assert listing.names.tolist() == [str(tmp_path / n) for n in ("a.jpg", "none.jpg", "c.jpg")]
    assert listing.splits.tolist() == ["train", "train", "test"]
    assert listing.groups.tolist() == ["p1", "", "p1"]
    assert listing.weights.tolist() == [2.0, 1.0, 0.5]
    assert listing.labels.tolist() == [0, 1, 0]
    assert listing.read(2) == b"c.jpg"
    with pytest.raises(FileNotFoundError):
        listing.read(1)


def test_a_folder_with_a_table_is_listed_by_it(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,label\na.jpg,cat\nb.jpg,dog\n")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    listing = list_photos(f"folder:{tmp_path}")
    assert listing.names.tolist() == [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert "labels are those of metadata.csv" in listing.notes


def test_a_table_of_several_labels_is_listed_with_a_row_a_photo(tmp_path):
    (tmp_path / "labels.csv").write_text("file,red,round,split\na.png,1,1,\nb.png,0,0,test\n")
    listing = list_photos(f"csv:{tmp_path / 'labels.csv'}?labels=round,red")
    assert listing.class_names == ("round", "red")
    assert listing.labels.tolist() == [[1, 1], [0, 0]]
    assert listing.splits.tolist() == ["train", "test"]


def test_images_that_are_no_files_are_named_by_split_and_number():
    listing = list_photos("digits")
    assert (len(listing), listing.are_files) == (1797, False)
    assert listing.names[[0, 1796]].tolist() == ["train 0", "train 1796"]
    assert set(listing.splits) == {"train"}
    assert np.bincount(listing.labels).min() > 170
    assert listing.read(3).startswith(b"\x89PNG")
