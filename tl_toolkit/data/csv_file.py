"""`csv:PATH[?OPTIONS]`: a table of image files and their labels."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from tl_toolkit.catalog import SPLITS, TEST, TRAIN, VALIDATION
from tl_toolkit.data.dataset import FileImages, ImageSource, Split
from tl_toolkit.data.folder import check_files, report_bad
from tl_toolkit.data.label_table import names_several_labels, read_label_table
from tl_toolkit.data.labelled_files import LabelledFiles, group_copies, without_contradictions
from tl_toolkit.data.labelled_rows import LabelledRows, read_labelled_rows
from tl_toolkit.data.labels import are_several, counts_of, numbers_of
from tl_toolkit.data.opening import AS_USUAL, Opening
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.data.table_uri import parse_table_uri
from tl_toolkit.errors import InputError


def load_csv(path: str, opening: Opening = AS_USUAL) -> ImageSource:
    """Reads the table and checks that every file is an image.

    Args:
        path: A table: text in columns, an Excel workbook (`.xlsx`), Parquet or JSON lines. Its first line names
            the columns: `file` (relative to the table's folder) and `label`, and, where wanted, `split` (train,
            validation or test), `weight` (how much the image counts in the loss, over 0) and `group` (such as a
            patient, a camera or a day: images of one are never parted by a split or a fold that is made; empty
            for none). Other columns are chosen by options: `labels.csv?file=id&label=breed&suffix=.jpg&root=train`;
            see `table_uri.OPTIONS` and `table_columns.USUAL_NAMES`. Labels stay the text that they are.
            With `labels` or `separator` photos have several labels: see `read_label_table`.
        opening: How its photos are opened.

    Returns:
        The source; classes in alphabetical order, licence unknown.

    Raises:
        InputError: The table is not as described, or an image is bad.
    """
    rows = read_rows(path, opening.finds_all)
    return source_of_rows(rows, rows.table.parent, opening)


def read_rows(path: str, finds_all: bool = True) -> LabelledRows:
    """Reads the table alone, none of its photos; see `load_csv`."""
    if names_several_labels(path):
        return read_label_table(path, finds_all)
    return read_labelled_rows(parse_table_uri(path), finds_all)


def source_of_rows(
    rows: LabelledRows,
    root: pathlib.Path,
    opening: Opening = AS_USUAL,
) -> ImageSource:
    """Checks that every file is an image.

    Args:
        rows: Of one table, or of several that belong together.
        root: The folder that names in notes start from.
        opening: How the photos are opened.

    Raises:
        InputError: An image is bad, or a class has none.
    """
    table, class_names = rows.table, rows.class_names
    if len(class_names) < 2:
        raise InputError(
            f"{str(table)!r} must hold at least two labels. Found: {', '.join(class_names)}."
        )
    if not rows.paths:
        raise InputError(f"{str(table)!r} names no photo.")
    files = LabelledFiles.unread(PathColumn.of(rows.paths), numbers_of(rows.labels))
    checked = check_files(files, opening)
    files = without_contradictions(checked.files)
    _refuse_none(rows, files)
    notes = report_bad(files.bad(), root, opening)
    sound = files.sound()
    members = {name: sound[rows.splits[sound] == name] for name in SPLITS}
    files_of = {name: files.take(positions) for name, positions in members.items()}
    given = {
        name: [rows.groups[k] if rows.groups else "" for k in positions]
        for name, positions in members.items()
    }
    keys, copies = group_copies(files_of, opening, checked.thumbnails, given)

    splits: dict[str, Split] = {}
    first_id = 0
    for name, positions in members.items():
        if name != TRAIN and not len(positions):
            continue
        labels = rows.labels[positions]
        missing = np.flatnonzero(counts_of(labels, len(class_names)) == 0)
        if len(missing):
            kind = "Label" if are_several(labels) else "Class"
            raise InputError(
                f"{kind} {class_names[missing[0]]!r} in {str(table)!r} has no image in the split {name!r}."
            )
        splits[name] = Split.of(
            FileImages(files_of[name].paths, opening.value_range),
            labels,
            first_id,
            weights=rows.weights[positions],
            groups=keys[name],
        )
        first_id += len(positions)
    return ImageSource(
        class_names=class_names,
        train=splits[TRAIN],
        validation=splits.get(VALIDATION),
        test=splits.get(TEST),
        groups=np.unique(keys[TRAIN], return_inverse=True)[1],
        notes=(*notes, *copies, *rows.notes),
    )


def _refuse_none(rows: LabelledRows, files: LabelledFiles) -> None:
    """Says where the photos were looked for, if that is where none is."""
    if not any(map(os.path.exists, files.paths)):
        raise InputError(
            f"None of the {len(files)} photos that {str(rows.table)!r} names is there, such as {rows.paths[0]!r}: "
            "root=FOLDER in the URI says where they are."
        )
