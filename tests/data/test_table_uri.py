"""Options behind a table's path, columns of other names, and photos named by ids."""

import openpyxl
import pytest
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.data.csv_file import load_csv
from tl_toolkit.data.listing import list_photos
from tl_toolkit.data.opening import SKIP, Opening
from tl_toolkit.data.table_uri import parse_table_uri
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.run_inputs import inputs_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train").mkdir()
    for number in range(6):
        Image.new("RGB", (9, 9), (40 * number, 0, 0)).save(tmp_path / "train" / f"0{number}.jpg")
    return tmp_path


def write(folder, columns, rows, name="labels.csv", delimiter=","):
    path = folder / name
    path.write_text("\n".join(delimiter.join(row) for row in [columns, *rows]), "utf-8")
    return path


ROWS = [(f"0{n}", "0" + str(n % 2)) for n in range(6)]


def names_and_labels(source):
    paths = [str(path).rpartition("/")[2] for path in source.train.images.paths]
    return [(p, source.class_names[k]) for p, k in zip(paths, source.train.labels, strict=True)]


EXPECTED = [(f"{name}.jpg", label) for name, label in ROWS]


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        (("id", "breed"), "root=train"),
        (("id", "breed"), "root=train&suffix=.jpg"),
        (("a b", "c&d"), "file=a%20b&label=c%26d&root=train&delimiter=%3B"),
        (("Image_ID", "Class"), "root=train&delimiter=semicolon"),
    ],
)
def test_columns_of_other_names_are_read(columns, options, folder):
    delimiter = ";" if "delimiter" in options else ","
    table = write(folder, columns, ROWS, delimiter=delimiter)
    source = load_csv(f"{table}?{options}")
    assert names_and_labels(source) == EXPECTED
    assert source.class_names == ("00", "01")
    notes = " ".join(source.notes)
    assert ("named without the ending" in notes) == ("suffix" not in options)
    assert ("'id' as the file and 'breed' as the label" in notes) == ("id" in columns)
    listing = list_photos(f"csv:{table}?{options}")
    assert [str(name) for name in listing.names] == list(source.train.images.paths)


def test_splits_weights_and_groups_have_columns_of_any_name(folder):
    rows = [
        (*row, "test" if n < 2 else "", str(n + 1), "p" * (n > 3)) for n, row in enumerate(ROWS)
    ]
    table = write(folder, ("id", "class", "part", "w", "patient"), rows)
    source = load_csv(f"{table}?split=part&weight=w&group=patient&root=train")
    assert [len(source.train), len(source.test)] == [4, 2]
    assert source.train.weights.tolist() == [3, 4, 5, 6]
    assert source.groups[2] == source.groups[3]
    assert len(set(source.groups.tolist())) == 3


def test_an_excel_table_opens(folder):
    book = openpyxl.Workbook()
    for row in [("filename", "label"), *EXPECTED]:
        book.active.append(row)
    book.save(folder / "labels.xlsx")
    assert names_and_labels(load_csv(f"{folder / 'labels.xlsx'}?root=train")) == EXPECTED


def test_a_path_with_a_question_mark_is_a_path_where_there_is_such_a_file(folder):
    table = write(folder, ("file", "label"), EXPECTED, "what?root=x.csv")
    uri = parse_table_uri(str(table))
    assert (uri.path, uri.options) == (table, {})
    uri = parse_table_uri(f"{table}?root=train&label=label")
    assert (uri.path, uri.options) == (table, {"root": "train", "label": "label"})
    assert uri.root == folder / "train"
    assert names_and_labels(load_csv(f"{table}?root=train")) == EXPECTED
    assert uri.without_folders() == "what?root=x.csv?root=train&label=label"


def test_where_photos_lie_is_not_shown_and_not_overwritten(folder):
    table = write(folder, ("file", "label"), EXPECTED)
    argument = f"{table}?root={folder / 'train'}&delimiter=%2C"
    assert parse_table_uri(argument).without_folders() == "labels.csv?root=train&delimiter=%2C"
    assert inputs_of(
        tl.Recipe(data=f"csv:{argument}", strategy=tl.NewHead(), weights="imagenet")
    ) == [table, folder / "train"]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (("id", "path", "label"), "", r"Several columns may hold the file: id, path. .*file=id"),
        (
            ("file", "class", "breed"),
            "",
            r"Several columns may hold the label.*Found: file, class, br",
        ),
        (("file", "label", "x"), "?label=y", r"no column 'y' \(label=y\). Found: file, label, x"),
        (("file", "label", "x"), "?lable=x", "option of a table"),
        (("file", "label", "x"), "?label=x&label=x", "given twice"),
        (("file", "label", "x"), "?label=", "needs a value"),
        (("file", "label", "x"), "?suffix=jpg", "should be an ending such as suffix=.jpg"),
        (("file", "label", "x"), "?label=%ff", "not UTF-8"),
        (
            ("file", "label", "x"),
            "",
            "no photo .*/00' cannot be|There is no photo .*/00', with any",
        ),
        (("file", "label", "x"), "?suffix=.jpg", r"None of the 6 photos .*root=FOLDER"),
    ],
)
def test_what_is_not_clear_is_an_error_with_the_way_out(columns, options, message, folder):
    table = write(folder, columns, [(*row, "x") for row in ROWS])
    with pytest.raises(InputError, match=message):
        load_csv(f"{table}{options}")


def test_an_id_of_two_photos_is_an_error_and_of_none_can_be_skipped(folder):
    table = write(folder, ("id", "label"), [*ROWS, ("none", "00")])
    with pytest.raises(InputError, match=r"no photo .*none', with any ending. suffix="):
        load_csv(f"{table}?root=train")
    source = load_csv(f"{table}?root=train", Opening(SKIP))
    assert names_and_labels(source) == EXPECTED
    assert source.notes[0].endswith("none: No such file or directory")
    Image.new("RGB", (9, 9)).save(folder / "train" / "03.png")
    with pytest.raises(InputError, match=r"'03' stands for several photos: 03.jpg, 03.png"):
        load_csv(f"{table}?root=train")


@pytest.mark.slow
def test_what_an_audit_leaves_of_such_a_table_opens(folder):
    rows = [(f"0{n}", "a;b" if n % 2 else "é", "p" * (n > 2)) for n in range(6)]
    text = "\n".join("\t".join(row) for row in [("id", "breed", "patient"), *rows])
    (folder / "labels.tsv").write_bytes(text.encode("cp1252"))
    (folder / "train" / "05.jpg").write_bytes(b"no photo")
    found = tl.audit(f"csv:{folder / 'labels.tsv'}?root=train&group=patient", features=None)
    assert tl.write_csv(found, folder / "clean.csv") == 5
    source = load_csv(str(folder / "clean.csv"))
    expected = [(f"{name}.jpg", label) for name, label, _ in rows[:5]]
    assert names_and_labels(source) == expected
    assert source.groups[3] == source.groups[4]
