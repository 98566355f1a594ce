"""What a page shows of a classifier's answers: the confusion matrix, pairs, classes, and the photos behind them."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.page.advice import confused_pairs
from tl_toolkit.report.page.answer_charts import (
    Thresholds,
    held_back_chart,
    reliability_chart,
    thresholds_of,
)
from tl_toolkit.report.page.photo_choice import ChosenPhotos, choose_photos
from tl_toolkit.report.page.thumbnails import Thumbnails, in_base64

MOST_IN_MATRIX = 100  # classes
SHADES = 8
PAIRS = 10
NAMED_CLASSES = 3  # of a photo, the most probable ones
NO_PHOTOS = Thumbnails()


@dataclasses.dataclass(frozen=True)
class HeatMaps:
    """Where the evidence lies in some photos, drawn over them.

    Attributes:
        of: By the photo's position in the table of answers, two PNG or WebP files: for the class that was said, and for
            the true class.
        note: How they were made and how far they can be trusted, in a sentence or two.
    """

    of: Mapping[int, tuple[bytes, bytes]] = dataclasses.field(default_factory=dict)
    note: str = ""


@dataclasses.dataclass(frozen=True)
class MatrixRow:
    """One true class: its name, its number, its photos, and (count, shade, label of the column) a cell."""

    name: str
    label: int
    total: int
    cells: tuple[tuple[int, int, int], ...]


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """One class: its figures, and the class that it is most often taken for, with how many photos."""

    name: str
    label: int
    support: int
    precision: float
    recall: float
    f1: float
    taken_for: str
    taken: int


@dataclasses.dataclass(frozen=True)
class AnswerSections:
    """What the templates of `parts/` show of answers.

    Attributes:
        columns: (name, number) of the classes in the matrix.
        matrix: A row a true class.
        left_out: How many classes are not in the matrix.
        pairs: (class, class taken for it, photos, photos the other way round, their numbers).
        classes: All of them.
        chosen: The photos that are shown or named.
        reliability: Chart.
        held_back: Chart.
        thresholds: Of two classes.
        data: For the script.
        missing: What there is to say of photos that are not shown; empty: nothing.
        heat_maps: Of the photos that are explained.
    """

    columns: tuple[tuple[str, int], ...]
    matrix: tuple[MatrixRow, ...]
    left_out: int
    pairs: tuple[tuple[str, str, int, int, tuple[int, int]], ...]
    classes: tuple[ClassRow, ...]
    chosen: ChosenPhotos
    reliability: Markup
    held_back: Markup
    thresholds: Thresholds | None
    data: Mapping[str, Any]
    missing: str
    heat_maps: HeatMaps


def answer_sections(
    table: AnswerTable,
    metrics: Mapping[str, Any],
    thumbnails: Thumbnails = NO_PHOTOS,
    *,
    chosen: ChosenPhotos | None = None,
    thresholds: Sequence[Mapping[str, Any]] = (),
    heat_maps: HeatMaps | None = None,
    missing: str = "",
) -> AnswerSections:
    """Returns everything that pages show of answers.

    Args:
        table: The answers.
        metrics: `classification_metrics` of them.
        thumbnails: Of the chosen photos.
        chosen: What `choose_photos` returns; None: it is called here.
        thresholds: `threshold_rows` of the run.
        heat_maps: Of some photos.
        missing: Why there are no photos.
    """
    chosen, heat_maps = chosen or choose_photos(table), heat_maps or HeatMaps()
    counts = np.zeros((len(table.class_names),) * 2, np.int64)
    np.add.at(counts, (table.labels, table.said), 1)
    shown = _classes_in_matrix(counts)
    positive = metrics.get("positive_class")
    of_two = None
    if positive in table.class_names and len(table.class_names) == 2:
        of_two = thresholds_of(table, table.class_names.index(positive), thresholds)
    data = photo_data(table, chosen, thumbnails, heat_maps)
    if of_two is not None:
        data["thresholds"] = of_two.data
    return AnswerSections(
        columns=tuple((table.class_names[label], label) for label in shown),
        matrix=tuple(_matrix_row(table.class_names, counts, label, shown) for label in shown),
        left_out=len(counts) - len(shown),
        pairs=tuple(
            (table.class_names[a], table.class_names[b], there, back, (a, b))
            for a, b, there, back in confused_pairs(table)[:PAIRS]
        ),
        classes=tuple(_class_rows(table.class_names, counts, metrics["classes"])),
        chosen=chosen,
        reliability=reliability_chart(table),
        held_back=held_back_chart(table),
        thresholds=of_two,
        data=data,
        missing=missing or _missing(thumbnails),
        heat_maps=heat_maps,
    )


def photo_data(
    table: AnswerTable, chosen: ChosenPhotos, thumbnails: Thumbnails, heat_maps: HeatMaps
) -> dict[str, Any]:
    """Returns what the page's script shows of photos, as plain values; each thumbnail is in it once."""
    listed = chosen.listed
    folder, names = _without_common_folder([table.images[position] for position in listed])
    most = min(NAMED_CLASSES, len(table.class_names))
    order = np.argsort(-table.probabilities[listed], axis=1, kind="stable")[:, :most]
    return {
        "classes": list(table.class_names),
        "folder": folder,
        "ids": listed,
        "names": names,
        "truth": table.labels[listed].tolist(),
        "ofTruth": [_rounded(p) for p in table.of_truth[listed]],
        "said": [
            [
                item
                for label in row
                for item in (int(label), _rounded(table.probabilities[position, label]))
            ]
            for position, row in zip(listed, order, strict=True)
        ],
        "thumbs": {str(position): text for position, text in thumbnails.of.items()},
        "maps": {
            str(position): [[_kind(file), in_base64(file)] for file in pair]
            for position, pair in heat_maps.of.items()
        },
        "cells": {f"{t},{s}": list(photos) for (t, s), photos in chosen.of_cell.items()},
        "ofClass": [[c.best, c.worst, c.doubtful] for c in chosen.of_class],
    }


def _classes_in_matrix(counts: np.ndarray) -> list[int]:
    if len(counts) <= MOST_IN_MATRIX:
        return list(range(len(counts)))
    wrong = counts.sum(axis=1) + counts.sum(axis=0) - 2 * counts.diagonal()
    most = np.argsort(-wrong, kind="stable")[:MOST_IN_MATRIX]
    return [int(label) for label in np.sort(most)]


def _matrix_row(
    names: Sequence[str], counts: np.ndarray, label: int, shown: Sequence[int]
) -> MatrixRow:
    total = int(counts[label].sum())
    shares = counts[label] / max(total, 1)
    cells = tuple(
        (int(counts[label, column]), math.ceil(SHADES * shares[column]), column) for column in shown
    )
    return MatrixRow(names[label], label, total, cells)


def _class_rows(
    names: Sequence[str], counts: np.ndarray, figures: Mapping[str, Any]
) -> list[ClassRow]:
    wrong = counts - np.diag(counts.diagonal())
    rows = []
    for label, name in enumerate(names):
        of_class, taken_for = figures[name], int(wrong[label].argmax())
        rows.append(
            ClassRow(
                name,
                label,
                of_class["support"],
                of_class["precision"],
                of_class["recall"],
                of_class["f1"],
                names[taken_for] if wrong[label, taken_for] else "",
                int(wrong[label, taken_for]),
            )
        )
    return rows


def _missing(thumbnails: Thumbnails) -> str:
    said = []
    gone, left_out = len(thumbnails.unreadable), thumbnails.left_out
    if gone:
        what = "1 photo is gone, or is" if gone == 1 else f"{gone} photos are gone, or are"
        said.append(
            f"{what} not what {'it was' if gone == 1 else 'they were'} when the run was tested"
        )
    if left_out:
        what = "1 photo is" if left_out == 1 else f"{left_out} photos are"
        said.append(f"{what} named without a picture, to keep this page small")
    return "; ".join(said) + "." * bool(said)


def _without_common_folder(names: Sequence[str]) -> tuple[str, list[str]]:
    """Returns the folder that all names have in common, and the names in it."""
    if not names or not all("/" in name for name in names):
        return "", list(names)
    try:
        folder = os.path.commonpath([name.rpartition("/")[0] for name in names])
    except ValueError:  # some are relative
        return "", list(names)
    return folder, [name[len(folder) :].removeprefix("/") for name in names]


def _rounded(probability: float) -> float:
    """Rounds to four places, but never up to certainty."""
    return min(round(float(probability), 4), 0.9999) if probability < 1 else 1.0


def _kind(file: bytes) -> str:
    return "png" if file.startswith(b"\x89PNG") else "webp"
