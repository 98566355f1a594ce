"""Labels of a table come out in the order of their names, whichever way the table has them."""

import csv

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.data.label_columns import labels_of_columns, labels_of_lists
from tl_toolkit.data.open import open_images
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.run_inputs import inputs_of

NAMES = ("round", "new", "a, b")


def row_named(row):
    return f"row {row}"


@pytest.fixture
def table(tmp_path):
    """24 photos, their labels as columns and as a list, and the labels."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (24, 3)).astype(np.uint8)
    labels[:2] = [[0, 0, 0], [1, 1, 1]]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["new", "photo", "file", "a, b", "round", "tags"])
        for number, row in enumerate(labels):
            pixels = random.integers(0, 255, (20, 20, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
            has = dict(zip(NAMES, row, strict=True))
            tags = "|".join(name for name, one in has.items() if one)
            name = f"{number}.png"
            writer.writerow([has["new"], name, name, has["a, b"], has["round"], tags])
    return tmp_path / "labels.csv", labels


def test_columns_are_labels_in_the_order_of_the_uri(table):
    path, labels = table
    found = open_images(f"csv:{path}?labels=round,new,a%2C%20b")
    assert found.class_names == NAMES
    np.testing.assert_array_equal(found.train.labels, labels)
    other = open_images(f"csv:{path}?file=photo&labels=a%2C%20b,round,new")
    assert other.class_names == ("a, b", "round", "new")
    np.testing.assert_array_equal(other.train.labels, labels[:, [2, 0, 1]])


def test_a_list_gives_the_same_labels_and_a_photo_may_have_none(table):
    path, labels = table
    found = open_images(f"csv:{path}?label=tags&separator=|")
    assert found.class_names == ("a, b", "new", "round")
    np.testing.assert_array_equal(found.train.labels, labels[:, [2, 1, 0]])
    assert not found.train.labels[0].any()


def test_the_table_opens_in_three_splits_that_have_every_label(table):
    path, _ = table
    dataset = tl.open_dataset(f"csv:{path}?label=tags&separator=|")
    assert dataset.has_several_labels
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.labels.any(0).all()
    assert "3 labels, any number a photo; 15 training" in dataset.summary() or len(dataset.train)
    recipe = tl.Recipe(data=f"csv:{path}?label=tags&separator=|", strategy="new_head")
    assert inputs_of(recipe) == [path]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("labels=round,nwe", "Unknown column 'nwe'"),
        ("labels=round,tags", "in the column 'tags'"),
        ("labels=round,round", "named twice"),
        ("labels=round", "at least two labels"),
        ("label=tags&separator=|&labels=new", "in one way"),
        ("separator=|", "Unknown column 'label'"),
        ("labels=round,new&file=picture", "There is no column 'picture'"),
        ("labels=round,new&root=x", "None of the 24 photos"),
        ("labels=round,new&colour=x", "Unknown option of a table 'colour'"),
        ("labels=", "needs one value"),
    ],
)
def test_what_does_not_fit_is_named(table, query, message):
    with pytest.raises(InputError, match=message.replace("|", r"\|")):
        open_images(f"csv:{table[0]}?{query}")


def test_a_table_without_a_row_names_no_photo(tmp_path):
    (tmp_path / "empty.csv").write_text("file,round,new\n")
    with pytest.raises(InputError, match=r"empty\.csv' names no photo"):
        open_images(f"csv:{tmp_path / 'empty.csv'}?labels=round,new")


def test_copies_with_other_labels_are_refused(table):
    path, _ = table
    (path.parent / "1.png").write_bytes((path.parent / "0.png").read_bytes())
    with pytest.raises(InputError, match="the same image is also in another class"):
        open_images(f"csv:{path}?label=tags&separator=|")


@hypothesis.given(
    st.lists(st.sets(st.sampled_from(["a", "b c", "d", "é"])), min_size=1), st.booleans()
)
def test_lists_are_read_back(rows, as_json):
    cells = [
        "[" + ", ".join(f'"{name}"' for name in row) + "]" if as_json else " ; ".join(row)
        for row in rows
    ]
    names, labels = labels_of_lists(cells, ";", row_named)
    assert names == tuple(sorted({name for row in rows for name in row}))
    for row, of_row in zip(rows, labels, strict=True):
        assert {name for name, one in zip(names, of_row, strict=True) if one} == row


def test_cells_that_are_no_labels_are_named_with_their_row():
    with pytest.raises(InputError, match="row 1 names a label twice"):
        labels_of_lists(["a", "a|a"], "|", row_named)
    with pytest.raises(InputError, match=r"row 0 has .\[1\].\. Expected a list of texts"):
        labels_of_lists(["[1]"], "|", row_named)
    with pytest.raises(InputError, match="row 1 has '2' in the column 'a'"):
        labels_of_columns({"a": ["1", "2"]}, ("a",), row_named)
    found = labels_of_columns({"a": ["TRUE", "no"], "b": ["0", "1"]}, ("b", "a"), row_named)
    assert found.tolist() == [[0, 1], [1, 0]]
