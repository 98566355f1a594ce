"""`csv:PATH`: a table of image files and their labels."""

from __future__ import annotations

import csv
import pathlib

import numpy as np

from tl_toolkit.catalog import SPLIT_ALIASES, SPLITS, TEST, TRAIN, VALIDATION
from tl_toolkit.data.dataset import FileImages, ImageSource, Split
from tl_toolkit.data.file_names import path_in_text, user_path
from tl_toolkit.data.folder import check_files, report_bad
from tl_toolkit.data.label_table import load_label_table, names_several_labels
from tl_toolkit.data.labelled_files import LabelledFile, group_copies, without_contradictions
from tl_toolkit.errors import InputError
from tl_toolkit.progress import SILENT, Progress

FILE, LABEL, SPLIT, WEIGHT, GROUP = "file", "label", "split", "weight", "group"


def load_csv(
    path: str,
    on_bad_image: str = "error",
    progress: Progress = SILENT,
    group_near_duplicates: bool = True,
) -> ImageSource:
    """Reads the table and checks that every file is an image.

    Args:
        path: A CSV file, UTF-8. Its first line names the columns: `file` (relative to the CSV's folder) and
            `label`, and, where wanted, `split` (train, validation or test), `weight` (how much the
            image counts in the loss, over 0) and `group` (such as a patient, a camera or a day: images of one are
            never parted by a split or a fold that is made; empty for none). With options behind it photos have several
            labels: see `load_label_table`.
        on_bad_image: As for a folder.
        progress: Shows how many photos are checked.
        group_near_duplicates: See `open_dataset`.

    Returns:
        The source; classes in alphabetical order, licence unknown.

    Raises:
        InputError: The table is not as described, or an image is bad.
    """
    if names_several_labels(path):
        return load_label_table(path, on_bad_image, progress, group_near_duplicates)
    table = user_path(path)
    rows = read_table(table)
    class_names = tuple(sorted({row[LABEL] for row in rows}))
    if len(class_names) < 2:
        raise InputError(
            f"{str(table)!r} must hold at least two labels. Found: {', '.join(class_names)}."
        )
    files = [
        LabelledFile(table.parent / path_in_text(row[FILE]), class_names.index(row[LABEL]))
        for row in rows
    ]
    seen: dict[str, np.ndarray] | None = {} if group_near_duplicates else None
    files = without_contradictions(check_files(files, progress, seen))
    notes = report_bad([file for file in files if file.fault], table.parent, on_bad_image)
    kept = [(row, file) for row, file in zip(rows, files, strict=True) if not file.fault]

    by_split = {name: [(row, file) for row, file in kept if row[SPLIT] == name] for name in SPLITS}
    files_of = {name: [file for _, file in members] for name, members in by_split.items()}
    given = {name: [row.get(GROUP) or "" for row, _ in of] for name, of in by_split.items()}
    keys, copies = group_copies(files_of, seen, progress, given)

    splits: dict[str, Split] = {}
    first_id = 0
    for name, members in by_split.items():
        if name != TRAIN and not members:
            continue
        missing = set(range(len(class_names))) - {file.label for _, file in members}
        if missing:
            raise InputError(
                f"Class {class_names[min(missing)]!r} in {str(table)!r} has no image in the split {name!r}."
            )
        weights = np.array([row[WEIGHT] for row, _ in members], np.float32)
        splits[name] = Split.of(
            FileImages(np.array([str(file.path) for _, file in members])),
            [file.label for _, file in members],
            first_id,
            weights=weights,
            groups=keys[name],
        )
        first_id += len(members)
    return ImageSource(
        class_names=class_names,
        train=splits[TRAIN],
        validation=splits.get(VALIDATION),
        test=splits.get(TEST),
        groups=np.unique(keys[TRAIN], return_inverse=True)[1],
        notes=(*notes, *copies),
    )


def read_table(table: pathlib.Path) -> list[dict]:
    """Returns the rows, each with its split and its weight; raises `InputError` as `load_csv` does."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            lines = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read the table {str(table)!r}: {error}.") from error
    missing = [name for name in (FILE, LABEL) if name not in columns]
    if missing:
        raise InputError(
            f"{str(table)!r} must name its columns in the first line, {FILE!r} and {LABEL!r} among them. "
            f"Found: {', '.join(columns) or 'nothing'}."
        )
    return [_checked(row, table, number) for number, row in lines]


def _checked(row: dict, table: pathlib.Path, number: int) -> dict:
    where = f"Line {number} of {str(table)!r}"
    if not row[FILE] or "\0" in row[FILE] or not row[LABEL] or None in row:
        raise InputError(
            f"{where} must have a file and a label, and no more fields than there are columns."
        )
    split = (row.get(SPLIT) or TRAIN).lower()
    if split not in SPLIT_ALIASES:
        raise InputError(f"{where} has the split {split!r}. Expected: {', '.join(SPLITS)}.")
    try:
        weight = float(row.get(WEIGHT) or 1)
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise InputError(f"{where} has the weight {row[WEIGHT]!r}. Expected: a number over 0.")
    return {**row, SPLIT: SPLIT_ALIASES[split], WEIGHT: weight}
