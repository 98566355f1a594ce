"""Folders of photos with a metadata table, as Hugging Face's `imagefolder` reads them."""

import json

import pandas as pd
import pytest
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.data.image_folder import load_photo_folder
from tl_toolkit.data.listing import list_photos
from tl_toolkit.errors import InputError

WRITERS = {
    "metadata.csv": lambda frame, path: frame.to_csv(path, index=False),
    "metadata.jsonl": lambda frame, path: path.write_text(
        "\n".join(json.dumps(row) for row in frame.to_dict("records"))
    ),
    "metadata.parquet": lambda frame, path: frame.to_parquet(path),
}


def write(folder, labels, name="metadata.csv", shade=0, below="", column="label"):
    """Photos 0.png … of those labels, and their table."""
    (folder / below).mkdir(parents=True, exist_ok=True)
    names = [f"{below}{number}.png" for number in range(len(labels))]
    for number, file in enumerate(names):
        Image.new("RGB", (9, 9), (shade, 0, 10 * number)).save(folder / file)
    if name is not None:
        WRITERS[name](pd.DataFrame({"file_name": names, column: labels}), folder / name)
    return names


def found(split, source):
    paths = [path.rpartition("/")[2] for path in split.images.paths.tolist()]
    return [(path, source.class_names[k]) for path, k in zip(paths, split.labels, strict=True)]


LABELS = ["dog", "cat", "dog", "cat"]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("below", ["", "images/"])
def test_a_table_beside_the_photos_gives_their_labels(name, below, tmp_path):
    write(tmp_path, LABELS, name, below=below)
    source = load_photo_folder(str(tmp_path))
    assert source.class_names == ("cat", "dog")
    assert found(source.train, source) == [(f"{n}.png", label) for n, label in enumerate(LABELS)]
    assert source.notes[-1] == f"labels are those of {name}"
    listing = list_photos(f"folder:{tmp_path}")
    assert listing.labels.tolist() == source.train.labels.tolist()


def test_each_split_has_a_table_of_its_own(tmp_path):
    write(tmp_path / "train", ["dog", "cat", "owl"], column="species")
    write(tmp_path / "val", ["owl", "cat", "dog"], "metadata.jsonl", shade=80, column="species")
    source = load_photo_folder(str(tmp_path))
    assert source.class_names == ("cat", "dog", "owl")
    assert [label for _, label in found(source.train, source)] == ["dog", "cat", "owl"]
    assert [label for _, label in found(source.validation, source)] == ["owl", "cat", "dog"]
    assert source.validation.ids.tolist() == [3, 4, 5]


def test_one_table_names_photos_in_folders_of_splits(tmp_path):
    rows = [
        (name, label)
        for name, label in zip(write(tmp_path, LABELS, None, 0, "train/"), LABELS, strict=True)
    ]
    rows += zip(write(tmp_path, ["cat", "dog"], None, 90, "test/"), ["cat", "dog"], strict=True)
    pd.DataFrame(rows, columns=["file_name", "label"]).to_csv(
        tmp_path / "metadata.csv", index=False
    )
    dataset = tl.open_dataset(f"folder:{tmp_path}", validation_fraction=0)
    assert [len(dataset.train), len(dataset.test)] == [4, 2]
    assert found(dataset.test, dataset) == [("0.png", "cat"), ("1.png", "dog")]


def test_class_folders_count_more_than_a_table(tmp_path):
    write(tmp_path / "a", ["x", "y"])
    write(tmp_path / "b", ["x", "y"], shade=90)
    (tmp_path / "metadata.csv").write_text("file_name,label\na/0.png,x\nb/0.png,y\n")
    assert load_photo_folder(str(tmp_path)).class_names == ("a", "b")


def test_without_a_table_or_with_one_without_labels_it_is_said(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,caption\na.png,a cat\n")
    with pytest.raises(
        InputError, match=r"'file' and 'label' among them. Found: file_name, caption"
    ):
        load_photo_folder(str(tmp_path))
    with pytest.raises(InputError, match="Cannot read the folder"):
        load_photo_folder(str(tmp_path / "none"))
