"""A table of files and labels: read exactly, or refused with the line."""

import csv
import pathlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.data.csv_file import load_csv
from tl_toolkit.data.kept_together import kept_together
from tl_toolkit.data.open import open_dataset
from tl_toolkit.data.opening import SKIP, Opening
from tl_toolkit.data.pipeline import training_batches
from tl_toolkit.errors import InputError
from tl_toolkit.transfer.solved_head import deal_folds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("table")
    for number in range(12):
        pixels = np.full((9, 9, 3), 20 * number, np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
    (root / "bad.png").write_bytes(b"no image")
    return root


def table(folder, rows, columns=("file", "label")):
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return str(path)


ROWS = [(f"{n}.png", "dog" if n % 2 else "cat") for n in range(12)]


@pytest.mark.slow
def test_labels_and_files_are_those_of_the_rows(folder):
    source = load_csv(table(folder, ROWS))
    assert source.class_names == ("cat", "dog")
    assert source.train.labels.tolist() == [0, 1] * 6
    load = source.train.images.loader()
    assert [int(load(np.int64(n)).pixels()[0, 0, 0]) for n in range(12)] == [
        20 * n for n in range(12)
    ]
    assert source.train.weights.tolist() == [1.0] * 12


def test_splits_and_weights_are_those_of_the_rows(folder):
    splits = ["train", "train", "Val", "val", "test", "test"] * 2
    rows = [(*row, split, 0.5 + n) for n, (row, split) in enumerate(zip(ROWS, splits, strict=True))]
    uri = f"csv:{table(folder, rows, ('file', 'label', 'split', 'weight'))}"
    dataset = tl.open_dataset(uri)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [4, 4, 4]
    assert dataset.train.weights.tolist() == [0.5, 1.5, 6.5, 7.5]
    assert dataset.test.ids.tolist() == [8, 9, 10, 11]


@pytest.mark.slow
def test_weights_reach_the_loss(folder):
    rows = [(*row, 1 + n) for n, row in enumerate(ROWS)]
    source = load_csv(table(folder, rows, ("file", "label", "weight")))
    preprocessing = tl.list_weights("resnet18")[0].preprocessing
    batches = training_batches(
        source.train,
        preprocessing,
        None,
        batch_size=12,
        epochs=1,
        seed=0,
        class_weights=np.array([1, 10], np.float32),
    )
    ((pixels, labels, weights),) = list(batches)
    number = np.rint(pixels[:, 0, 0, 0] / 20)
    assert np.allclose(weights, (1 + number) * np.where(labels == 1, 10, 1))


names = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cs"]),
    min_size=1,
    max_size=12,
)


@hypothesis.given(labels=st.lists(names, min_size=2, max_size=12).filter(lambda v: len(set(v)) > 1))
def test_any_text_is_a_label(folder, labels):
    source = load_csv(table(folder, [(f"{n}.png", label) for n, label in enumerate(labels)]))
    assert [source.class_names[label] for label in source.train.labels] == labels


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (ROWS, ("name", "label"), r"'file' and 'label' among them. Found: name, label"),
        ([], ("file", "label"), "at least two labels"),
        (ROWS[::2], ("file", "label"), "at least two labels. Found: cat"),
        ([*ROWS, ("0.png", "")], ("file", "label"), "Line 14 .* must have a file and a label"),
        (
            [*ROWS, ("0.png", "cat", "x")],
            ("file", "label"),
            "line 14 has 3 cells, and the .* names 2",
        ),
        ([(*row, "dev") for row in ROWS], ("file", "label", "split"), "Line 2 .* split 'dev'"),
        ([(*row, "-1") for row in ROWS], ("file", "label", "weight"), "Line 2 .* weight '-1'"),
        ([(*row, "nan") for row in ROWS], ("file", "label", "weight"), "Line 2 .* weight 'nan'"),
        ([*ROWS, ("bad.png", "cat")], ("file", "label"), "bad.png' cannot be used: not a photo"),
        ([*ROWS, ("none.png", "cat")], ("file", "label"), "none.png' cannot be used: No such file"),
        ([*ROWS, ("0.png", "dog")], ("file", "label"), "the same image is also in another class"),
        ([*ROWS, ("0\0.png", "dog")], ("file", "label"), "Line 14 .* must have a file"),
        (
            [(*row, "test" if row[1] == "dog" else "train") for row in ROWS],
            ("file", "label", "split"),
            "Class 'dog' .* has no image in the split 'train'",
        ),
    ],
)
def test_a_table_that_is_not_as_described_is_refused(rows, columns, message, folder):
    with pytest.raises(InputError, match=message):
        load_csv(table(folder, rows, columns))


def test_bad_images_can_be_left_out(folder):
    source = load_csv(table(folder, [*ROWS, ("bad.png", "cat")]), Opening(SKIP))
    assert len(source.train) == 12
    assert source.notes == ("skipped bad.png: not a photo in a known format",)


def test_bad_images_with_absolute_paths_can_be_left_out(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "bad.png"
    elsewhere.write_bytes(b"no image")
    rows = [*ROWS, (elsewhere, "cat"), (folder / "bad.png", "dog"), ("../none.png", "dog")]
    source = load_csv(table(folder, rows), Opening(SKIP))
    assert len(source.train) == 12
    assert source.notes == (
        f"skipped {elsewhere}: not a photo in a known format",
        "skipped bad.png: not a photo in a known format",
        "skipped ../none.png: No such file or directory",
    )


def test_copies_are_kept_together(folder):
    source = load_csv(table(folder, [*ROWS, ("0.png", "cat")]))
    assert source.groups[0] == source.groups[12]
    assert source.notes == ("1 images are copies of others; copies stay in one split",)


def test_no_table_is_said(tmp_path):
    with pytest.raises(InputError, match="Cannot read the table"):
        load_csv(str(tmp_path / "none.csv"))


def test_groups_are_never_parted(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["file,label,group"]
    for number in range(60):
        pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'ab'[rng.integers(2)]},patient {number // 4}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    dataset = open_dataset(f"csv:{tmp_path / 'table.csv'}")
    places: dict[str, set[str]] = {}
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        for path in split.images.paths:
            places.setdefault(str(int(pathlib.Path(path).stem) // 4), set()).add(name)
        assert set(split.labels.tolist()) == {0, 1}
    assert len(places) == 15
    assert all(len(found) == 1 for found in places.values())
    folds = deal_folds(dataset.train.labels, kept_together(dataset.train), 0)
    for group in set(dataset.train.groups.tolist()):
        assert len(set(folds[dataset.train.groups == group].tolist())) == 1
