"""`csv:PATH?labels=A,B,C` and `csv:PATH?label=COLUMN&separator=|`: a table of photos with several labels each."""

from __future__ import annotations

import csv
import pathlib
import urllib.parse
from collections.abc import Sequence

import numpy as np

from tl_toolkit.catalog import SPLIT_ALIASES, SPLITS, TEST, TRAIN, VALIDATION
from tl_toolkit.data.dataset import FileImages, ImageSource, Split
from tl_toolkit.data.file_names import path_in_text, user_path
from tl_toolkit.data.folder import check_files, report_bad
from tl_toolkit.data.label_columns import Where, labels_of_columns, labels_of_lists
from tl_toolkit.data.labelled_files import LabelledFile, group_copies, without_contradictions
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.progress import SILENT, Progress

LABELS, LABEL, SEPARATOR, FILE = "labels", "label", "separator", "file"
OPTIONS = (LABELS, LABEL, SEPARATOR, FILE)
SPLIT, WEIGHT, GROUP = "split", "weight", "group"
Columns = dict[str, list[str]]


def names_several_labels(argument: str) -> bool:
    """Whether what follows `csv:` names columns of several labels a photo."""
    path, _, query = argument.rpartition("?")
    if not path or user_path(argument).is_file():  # a name with a question mark
        return False
    names = {pair.partition("=")[0] for pair in query.split("&")}
    return bool(names & {LABELS, SEPARATOR})


def table_path(argument: str) -> str:
    """Returns the table's path out of what follows `csv:`."""
    return argument.rpartition("?")[0] if names_several_labels(argument) else argument


def load_label_table(
    argument: str,
    on_bad_image: str = "error",
    progress: Progress = SILENT,
    group_near_duplicates: bool = True,
) -> ImageSource:
    """Reads the table and checks that every file is an image.

    Args:
        argument: `PATH?labels=A,B,C`, a column of 0 and 1 a label, in the order that is given; or
            `PATH?label=COLUMN&separator=|`, a column that lists each photo's labels, which may be empty. `file=COLUMN`
            names the column of the files; without it that is `file`. Values are percent-decoded (`%2C` is a comma). The columns
            `split`, `weight` and `group` are as `load_csv` has them.
        on_bad_image: As for a folder.
        progress: Shows how many photos are checked.
        group_near_duplicates: See `open_dataset`.

    Raises:
        InputError: The table is not as described, or an image is bad.
    """
    path, options = _parsed(argument)
    table = user_path(path)
    columns, lines = _read(table)

    def where(row: int) -> str:
        return f"Line {lines[row]} of {str(table)!r}"

    names, labels = _labels(columns, options, where)
    if len(names) < 2:
        raise InputError(
            f"{str(table)!r} must have at least two labels. Found: {', '.join(names)}."
        )
    file_column = options.get(FILE, FILE)
    if file_column not in columns:
        raise unknown_name("column", file_column, columns, "file=COLUMN names that of the files.")
    for row, name in enumerate(columns[file_column]):
        if not name or "\0" in name:
            raise InputError(f"{where(row)} must name a file.")
    splits, weights = _splits(columns, where), _weights(columns, where)
    # Copies contradict each other where their labels are not all the same.
    _, combination = np.unique(labels, axis=0, return_inverse=True)
    files = [
        LabelledFile(table.parent / path_in_text(name), int(number))
        for name, number in zip(columns[file_column], combination.ravel(), strict=True)
    ]
    seen: dict[str, np.ndarray] | None = {} if group_near_duplicates else None
    files = without_contradictions(check_files(files, progress, seen))
    notes = report_bad([file for file in files if file.fault], table.parent, on_bad_image)
    is_sound = np.array([not file.fault for file in files], bool)
    members = {name: np.flatnonzero(is_sound & (splits == name)) for name in SPLITS}
    given = columns.get(GROUP, [""] * len(files))
    keys, copies = group_copies(
        {name: [files[row] for row in rows] for name, rows in members.items()},
        seen,
        progress,
        {name: [given[row] for row in rows] for name, rows in members.items()},
    )
    made: dict[str, Split] = {}
    first_id = 0
    for name, rows in members.items():
        if name != TRAIN and not len(rows):
            continue
        missing = np.flatnonzero(~labels[rows].any(axis=0))
        if len(missing):
            raise InputError(
                f"No photo of the split {name!r} in {str(table)!r} has the label {names[missing[0]]!r}."
            )
        paths = FileImages(np.array([str(files[row].path) for row in rows]))
        made[name] = Split.of(paths, labels[rows], first_id, weights[rows], keys[name])
        first_id += len(rows)
    return ImageSource(
        class_names=names,
        train=made[TRAIN],
        validation=made.get(VALIDATION),
        test=made.get(TEST),
        groups=np.unique(keys[TRAIN], return_inverse=True)[1],
        notes=(*notes, *copies),
    )


def _parsed(argument: str) -> tuple[str, dict[str, str]]:
    path, _, query = argument.rpartition("?")
    options: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name not in OPTIONS:
            raise unknown_name("option of a table with several labels", name, OPTIONS)
        if not value or name in options:
            raise InputError(f"The option {name!r} in {argument!r} needs one value: {name}=VALUE.")
        options[name] = value if name == LABELS else urllib.parse.unquote(value)
    if (LABELS in options) == (SEPARATOR in options) or (LABEL in options) != (
        SEPARATOR in options
    ):
        raise InputError(
            f"Name the labels of {argument!r} in one way: labels=A,B,C, a column of 0 and 1 each, or label=COLUMN&separator=|, "
            "a column that lists them."
        )
    return path, options


def _labels(
    columns: Columns, options: dict[str, str], where: Where
) -> tuple[tuple[str, ...], np.ndarray]:
    if LABELS in options:
        names = tuple(urllib.parse.unquote(name) for name in options[LABELS].split(","))
        return names, labels_of_columns(columns, names, where)
    if options[LABEL] not in columns:
        raise unknown_name("column", options[LABEL], columns)
    return labels_of_lists(columns[options[LABEL]], options[SEPARATOR], where)


def _read(table: pathlib.Path) -> tuple[Columns, list[int]]:
    """Returns the cells of every column, and where each row ends in the file."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = [(reader.line_num, row) for row in reader]
            names = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read the table {str(table)!r}: {error}.") from error
    for number, row in rows:
        if None in row:
            raise InputError(
                f"Line {number} of {str(table)!r} has more fields than there are columns."
            )
    if not rows:
        raise InputError(f"{str(table)!r} has no rows.")
    return {name: [row[name] for _, row in rows] for name in names}, [n for n, _ in rows]


def _splits(columns: Columns, where: Where) -> np.ndarray:
    """str[rows]."""
    found = []
    for row in range(len(next(iter(columns.values())))):
        split = (columns[SPLIT][row] if SPLIT in columns else "").lower() or TRAIN
        if split not in SPLIT_ALIASES:
            raise InputError(
                f"{where(row)} has the split {split!r}. Expected: {', '.join(SPLITS)}."
            )
        found.append(SPLIT_ALIASES[split])
    return np.array(found, str)


def _weights(columns: Columns, where: Where) -> np.ndarray:
    """float32[rows]."""
    rows: Sequence[str] = columns.get(WEIGHT, ["1"] * len(next(iter(columns.values()))))
    found = []
    for row, cell in enumerate(rows):
        try:
            weight = float(cell or 1)
        except ValueError:
            weight = 0.0
        if not 0 < weight < float("inf"):
            raise InputError(f"{where(row)} has the weight {cell!r}. Expected: a number over 0.")
        found.append(weight)
    return np.array(found, np.float32)
