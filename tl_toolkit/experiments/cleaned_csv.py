"""A table of the photos that are left when an audit's findings are acted on; the photos stay as they are."""

from __future__ import annotations

import csv
import json
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from tl_toolkit.catalog import TEST, TRAIN, VALIDATION
from tl_toolkit.data.file_names import utf8_text
from tl_toolkit.data.labels import numbers_of
from tl_toolkit.data.photo_check import KINDS
from tl_toolkit.data.table_uri import FILE, GROUP, LABEL, SPLIT, WEIGHT
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.experiments.audit_result import ALONE, DOUBTED, OUTLIER, Audit
from tl_toolkit.files.atomic import written_aside

DOUBTFUL, OUTLIERS, STANDS_ALONE = "doubtful", "outliers", "alone"
NEAR_DUPLICATES = "near-duplicates"
ON_REQUEST = {DOUBTFUL: DOUBTED, OUTLIERS: OUTLIER, STANDS_ALONE: ALONE}
PREFERRED = {TEST: 0, VALIDATION: 1, TRAIN: 2}  # of near-duplicates: a test set stays as it was


def rows_left(audit: Audit, leave_out: Sequence[str] = ()) -> np.ndarray:
    """Returns the numbers of the photos that are left.

    Left out are those that cannot be read, all but one of copies (the one in the test split, else in the validation
    split, else the one of most pixels stays), and all of them where their labels differ.

    Args:
        audit: What was found.
        leave_out: Kinds that are left out too: `"near-duplicates"`, as copies; `"doubtful"`, `"outliers"`, `"alone"`,
            or one of `KINDS`, such as `"blank"`.

    Raises:
        InputError: A kind is unknown, or was not looked for.
    """
    kept = audit.is_sound.copy()
    alike = audit.columns.copies
    for kind in leave_out:
        if kind == NEAR_DUPLICATES:
            alike = audit.columns.near
        elif kind in KINDS:
            kept &= np.isnan(audit.columns.figures[kind])
        elif kind in ON_REQUEST:
            kept[_by_features(audit, kind)] = False
        else:
            raise unknown_name("kind to leave out", kind, (NEAR_DUPLICATES, *ON_REQUEST, *KINDS))
    order = np.argsort(alike, kind="stable")
    ends = np.flatnonzero(np.diff(alike[order])) + 1
    pixels = audit.columns.widths.astype(np.int64) * audit.columns.heights
    labels = numbers_of(audit.listing.labels)
    for group in np.split(order, ends):
        if len(set(labels[group])) > 1:
            kept[group] = False
        alive = group[kept[group]]
        if len(alive) > 1:
            splits = [PREFERRED[str(audit.listing.splits[k])] for k in alive]
            best = np.lexsort((alive, -pixels[alive], splits))[0]
            kept[alive] = False
            kept[alive[best]] = True
    return np.flatnonzero(kept)


def _by_features(audit: Audit, kind: str) -> np.ndarray:
    features = audit.features
    if features is None or (kind == DOUBTFUL and features.label_issues is None):
        raise InputError(
            f"{kind!r} photos are found by a network's features, which this audit lacks: audit with features."
        )
    if kind == DOUBTFUL and features.label_issues is not None:
        issues = features.label_issues
        return features.rows[issues.photo[issues.doubted]]
    chosen = features.is_outlier if kind == OUTLIERS else features.stands_alone
    return features.rows[chosen]


def write_csv(audit: Audit, path: str | pathlib.Path, leave_out: Sequence[str] = ()) -> int:
    """Writes a table that `csv:PATH` opens, with what `rows_left` returns; nothing is moved or changed.

    Of photos with several labels it is `csv:PATH?separator=|`: a column lists them.

    Returns:
        How many photos it names.

    Raises:
        InputError: The photos are no files, a name is not UTF-8, or the file is there or cannot be written.

    Examples:
        >>> tl.write_csv(tl.audit("folder:photos", features=False), "clean.csv")
        60
        >>> recipe = tl.Recipe(data="csv:clean.csv", strategy=tl.NewHead())
    """
    listing, target = audit.listing, pathlib.Path(path)
    if not listing.are_files:
        raise InputError(
            f"The photos of {audit.uri!r} are no files, so that no table can name them."
        )
    if target.exists() or target.is_symlink():
        raise InputError(f"{str(path)!r} is there, and may be yours: name another file.")
    rows = rows_left(audit, leave_out)
    columns = [FILE, LABEL]
    has_splits = len(set(listing.splits.tolist())) > 1
    columns += [SPLIT] if has_splits else []
    columns += [WEIGHT] if (listing.weights != 1).any() else []
    columns += [GROUP] if (listing.groups != "").any() else []
    folder = target.absolute().parent
    try:
        with (
            written_aside(target) as aside,
            aside.open("w", newline="", encoding="utf-8") as file,
        ):
            table = csv.writer(file)
            table.writerow(columns)
            for k in rows:
                cells = {
                    FILE: _name_in_table(str(listing.names[k]), folder),
                    LABEL: json.dumps(audit.labels_of(k))
                    if audit.has_several_labels
                    else audit.label(k),
                    SPLIT: str(listing.splits[k]),
                    WEIGHT: repr(float(listing.weights[k])),
                    GROUP: str(listing.groups[k]),
                }
                table.writerow([cells[column] for column in columns])
    except OSError as error:
        raise InputError(f"Cannot write {str(path)!r}: {error.strerror}.") from error
    return len(rows)


def _name_in_table(name: str, folder: pathlib.Path) -> str:
    """The path from the table's folder on where it lies in there, else the whole one."""
    path = pathlib.Path(os.path.abspath(name))
    text = utf8_text(str(path.relative_to(folder) if path.is_relative_to(folder) else path))
    if text is None:
        raise InputError(f"A table cannot name {name!r}, which is not UTF-8: rename the file.")
    return text
