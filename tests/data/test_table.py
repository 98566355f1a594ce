"""Tables in each delimiter, encoding and kind of file are read back exactly, or refused with the way out."""

import csv
import io
import json
import re

import hypothesis
import hypothesis.strategies as st
import openpyxl
import pandas as pd
import pytest

from tl_toolkit.data.table import read_table
from tl_toolkit.errors import InputError

DELIMITERS = {",": "", ";": "semicolons", "\t": "tabs", "|": "pipes"}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
western_cells = st.text(
    st.sampled_from("abcxyz0189 ,;|\t\"'.-_éèêëàâäöüßñçåøæÀÉÖÜ€’“…"), max_size=8
)
tables = st.lists(st.tuples(cells, cells), max_size=8)
western_tables = st.lists(st.tuples(western_cells, western_cells), max_size=8)


def has_both(names):
    return "file" in names and "label" in names


def read(folder, contents, name="table.csv", **options):
    path = folder / name
    path.write_bytes(contents)
    return read_table(path, **options)


def written_by_csv(rows, delimiter):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows([("file", "label"), *rows])
    return buffer.getvalue()


def written_by_pandas(rows, delimiter):
    return pd.DataFrame(rows, columns=["file", "label"], dtype=str).to_csv(
        sep=delimiter, index=False
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.mark.parametrize("write", [written_by_csv, written_by_pandas])
@pytest.mark.parametrize("delimiter", DELIMITERS)
@hypothesis.given(rows=tables, encoding=st.sampled_from(ENCODINGS))
def test_any_unicode_table_is_read_back(rows, delimiter, encoding, write, place):
    if write is written_by_pandas:  # it leaves a carriage return unquoted, as the end of a row
        hypothesis.assume(not any("\r" in cell for row in rows for cell in row))
    table = read(place, write(rows, delimiter).encode(encoding), fits=has_both)
    assert list(table.columns) == ["file", "label"]
    assert list(zip(*table.columns.values(), strict=True)) == rows


@pytest.mark.parametrize("delimiter", DELIMITERS)
@hypothesis.given(rows=western_tables)
def test_any_windows_1252_table_is_read_back(rows, delimiter, place):
    contents = written_by_csv(rows, delimiter).encode("cp1252")
    try:
        contents.decode("utf-8")
        is_utf8 = True
    except UnicodeDecodeError:
        is_utf8 = False
    hypothesis.assume(contents.isascii() or not is_utf8)
    # `Ã©`, which UTF-8 has for one letter, beside letters that are not UTF-8: refused, not guessed.
    in_utf8 = contents.decode("utf-8", "replace")
    options = {}
    if len(re.findall(r"[^\x00-\x7f\ufffd]", in_utf8)) > in_utf8.count("\ufffd"):
        with pytest.raises(InputError, match="not UTF-8, which the rest seems to be"):
            read(place, contents, fits=has_both)
        options = {"encoding": "cp1252"}
    table = read(place, contents, fits=has_both, **options)
    assert list(zip(*table.columns.values(), strict=True)) == rows


@pytest.mark.parametrize(("delimiter", "name"), DELIMITERS.items())
def test_what_is_assumed_is_said(delimiter, name, tmp_path):
    text = f"file{delimiter}label\n1.jpg{delimiter}élève\n"
    parted = f"parted by {name}" if name else ""
    assert read(tmp_path, text.encode(), fits=has_both).notes == (
        (f"table.csv is read as a table {parted}",) if parted else ()
    )
    (note,) = read(tmp_path, text.encode("cp1252"), fits=has_both).notes
    assert "in Windows-1252, for example 'élève' (encoding= in the URI" in note
    assert parted in note
    (note,) = read(tmp_path, text.encode("utf-16"), fits=has_both).notes
    assert "in UTF-16" in note


def test_without_wanted_columns_the_rows_tell_the_delimiter(tmp_path):
    table = read(tmp_path, b"a;b,c\n1;x\n2;y\n")
    assert table.columns == {"a": ["1", "2"], "b,c": ["x", "y"]}


def test_single_quotes_and_excels_own_line_are_known(tmp_path):
    table = read(tmp_path, b"'file';'label'\n'a;b.jpg';'c'\n", fits=has_both)
    assert table.columns == {"file": ["a;b.jpg"], "label": ["c"]}
    assert "quoted by '" in table.notes[0]
    table = read(tmp_path, b"sep=|\r\nfile|label\r\na.jpg|cat\r\n", fits=has_both)
    assert table.columns == {"file": ["a.jpg"], "label": ["cat"]}
    assert table.lines == [3]


def test_what_spreadsheets_leave_is_no_column(tmp_path):
    table = read(tmp_path, b",file,label,,\n0,a.jpg,cat,,\n\n1,b.jpg,dog,,,\n2,c.jpg\n")
    assert table.columns == {"file": ["a.jpg", "b.jpg", "c.jpg"], "label": ["cat", "dog", ""]}
    assert table.lines == [2, 4, 5]
    assert table.where(1).startswith("Line 4 of ")


@pytest.mark.parametrize(
    ("contents", "options", "message"),
    [
        (b"file;label|file;label\n", {}, "semicolon or pipe: give delimiter="),
        (b"file,file,label\n", {}, "names the column 'file' twice"),
        (b"file,label\na,b,c\n", {}, "line 2 has 3 cells, and the first line names 2 columns"),
        ("file,label\né,é\n".encode() + b"\xe9,x\n", {}, "line 3 is not UTF-8, which the rest"),
        (b"file,label\na,\x81\n", {}, "neither UTF-8 nor Windows-1252: give encoding="),
        (b"file,label\na,\xff\n", {"encoding": "utf-8"}, "it is not utf-8"),
        (b"file,label\n", {"encoding": "klingon"}, "no text encoding 'klingon'"),
        (b"file,label\n", {"delimiter": "dash"}, "delimiter=dash should be one character"),
        (b"PK\3\4 no workbook", {}, "not an Excel workbook, or is damaged"),
        (b"PAR1 no table", {}, "not a Parquet file, or is damaged"),
        (bytes.fromhex("d0cf11e0a1b11ae1"), {}, "save it as .xlsx"),
    ],
)
def test_what_is_no_table_is_refused(contents, options, message, tmp_path):
    def fits(names):
        return any("file" in name for name in names) and len(names) > 1

    with pytest.raises(InputError, match=message):
        read(tmp_path, contents, fits=fits, **options)


def test_an_excel_sheet_is_read_as_it_shows(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["file", "label", "n"])
    sheet.append(["a.jpg", "01", 1.0])
    sheet.append([])
    sheet.append(["b.jpg", "=1/0", 2.5])
    sheet.append([7, 7, None])
    sheet["B5"].number_format = "000"
    book.create_sheet("other").append(["x"])
    path = tmp_path / "table.xlsx"
    book.save(path)
    table = read_table(path)
    assert table.columns == {
        "file": ["a.jpg", "b.jpg", "7"],
        "label": ["01", "", "007"],
        "n": ["1", "2.5", ""],
    }
    assert table.lines == [2, 4, 5]
    assert table.notes == ("the sheet 'Sheet' of 2 is read (sheet= in the URI chooses)",)
    assert read_table(path, sheet="other").columns == {"x": []}
    with pytest.raises(InputError, match=r"no sheet 'none'. Found: Sheet, other"):
        read_table(path, sheet="none")


def test_parquet_and_json_lines_are_read_as_text(tmp_path):
    rows = {
        "file": ["a.jpg", "b.jpg"],
        "label": ["01", None],
        "number": [1.0, float("nan")],
        "all": [["cat", "dog"], []],
    }
    pd.DataFrame(rows).to_parquet(tmp_path / "table.parquet")
    expected = {
        "file": ["a.jpg", "b.jpg"],
        "label": ["01", ""],
        "number": ["1", ""],
        "all": ['["cat", "dog"]', "[]"],
    }
    table = read_table(tmp_path / "table.parquet")
    assert {
        name: [c.replace("array", "") for c in column] for name, column in table.columns.items()
    } == expected
    lines = [{k: column[n] for k, column in rows.items()} for n in range(2)]
    text = "\n\n".join(json.dumps(line) for line in lines)
    table = read(tmp_path, text.encode(), "table.jsonl")
    assert table.columns == expected
    assert table.lines == [1, 3]
    with pytest.raises(InputError, match="line 2 is no JSON object"):
        read(tmp_path, b"{}\n[]\n", "table.jsonl")
