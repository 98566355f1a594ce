"""What the page of a run shows of answers with any number of labels: figures, curves and photos by label."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from sklearn.metrics import precision_recall_curve

from tl_toolkit.report.label_answers import LabelTable
from tl_toolkit.report.label_curves import commonest_labels
from tl_toolkit.report.label_words import label_rows, names_in_words, rarest, thresholds_in_words
from tl_toolkit.report.page.advice import Advice
from tl_toolkit.report.page.label_photos import OfLabel
from tl_toolkit.report.page.shell import shortened
from tl_toolkit.report.page.thumbnails import Thumbnails
from tl_toolkit.report.page.xy_chart import Axis, Series, xy_chart

CURVES = 6  # lines that can be told apart
MOST_POINTS = 200  # of a curve
LOW_PRECISION = 0.5  # average, of a label that is hardly found
FEW_PHOTOS = 20  # of a label, in the test photos


@dataclasses.dataclass(frozen=True)
class Shown:
    """One photo: its picture in base64 (empty: none), its name, what it has, and the label's probability."""

    thumbnail: str
    name: str
    labels: str
    probability: float


@dataclasses.dataclass(frozen=True)
class LabelPhotos:
    """One label, the photos that were missed and those that it was falsely given, and how many there are of each."""

    name: str
    missed: tuple[Shown, ...]
    false: tuple[Shown, ...]
    missed_count: int
    false_count: int


@dataclasses.dataclass(frozen=True)
class LabelSections:
    """What the template shows.

    Attributes:
        columns: Of the table by label.
        rows: Of it.
        thresholds: By what the thresholds were chosen, in a sentence.
        curves: Precision by share found; None where no label occurs.
        photos: Of the labels with a wrong answer.
        missing: Why photos are not shown; empty: they are.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    thresholds: str
    curves: Markup | None
    photos: tuple[LabelPhotos, ...]
    missing: str


def label_sections(
    table: LabelTable,
    metrics: Mapping[str, Any],
    chosen: Sequence[OfLabel],
    thumbnails: Thumbnails,
    missing: str = "",
) -> LabelSections:
    """Returns everything that the page shows of the answers.

    Args:
        table: The answers.
        metrics: What `metrics.json` holds.
        chosen: Photos of each label.
        thumbnails: Of them.
        missing: Why there are no photos.
    """
    of_labels = metrics["test"]["labels"]
    columns, rows = label_rows(of_labels)
    photos = tuple(
        LabelPhotos(
            name,
            tuple(_shown(table, p, label, thumbnails) for p in some.missed),
            tuple(_shown(table, p, label, thumbnails) for p in some.false),
            of_labels[name]["missed"],
            of_labels[name]["false"],
        )
        for label, (name, some) in enumerate(zip(table.label_names, chosen, strict=True))
        if some.missed or some.false
    )
    if not missing and (gone := thumbnails.left_out + len(thumbnails.unreadable)):
        missing = f"{gone} photos are named without their picture."
    return LabelSections(
        columns,
        rows,
        thresholds_in_words(metrics.get("label_thresholds") or {}),
        _curves(table),
        photos,
        missing,
    )


def label_advice(test: Mapping[str, Any], photos: str = "test photos") -> list[Advice]:
    """Returns what to do next, by the figures of the test, or of other photos, called as `photos` says."""
    advice = []
    if rare := rarest(test, FEW_PHOTOS):
        advice.append(
            Advice(
                f"Fewer than {FEW_PHOTOS} {photos} have {names_in_words(rare)}.",
                "Their figures say little: collect more photos that have them.",
                "labels",
            )
        )
    weak = [
        name
        for name, of in test["labels"].items()
        if of["average_precision"] is not None and of["average_precision"] < LOW_PRECISION
    ]
    if weak:
        advice.append(
            Advice(
                f"The average precision of {names_in_words(weak)} is under {LOW_PRECISION:g}.",
                "Look at the photos that were missed or falsely given first: labels that somebody forgot are often among them.",
                "wrong",
            )
        )
    if not advice:
        advice.append(
            Advice(
                "Every label is found.",
                "Look at the photos that are still wrong: labels that somebody forgot are often among them.",
                "wrong",
            )
        )
    return advice


def _shown(table: LabelTable, position: int, label: int, thumbnails: Thumbnails) -> Shown:
    has = [name for name, one in zip(table.label_names, table.has[position], strict=True) if one]
    return Shown(
        thumbnails.of.get(position, ""),
        os.path.basename(table.images[position]),
        ", ".join(has) or "no label",
        float(table.probabilities[position, label]),
    )


def _curves(table: LabelTable) -> Markup | None:
    series = []
    for label in commonest_labels(table.has, CURVES):
        precision, recall, _ = precision_recall_curve(
            table.has[:, label], table.probabilities[:, label]
        )
        some = np.unique(np.linspace(0, len(recall) - 1, MOST_POINTS).astype(int))[::-1]
        name = shortened(table.label_names[label])
        series.append(Series(name, recall[some].tolist(), precision[some].tolist(), "step"))
    if not series:
        return None
    return xy_chart(
        "Precision by the share of the photos with a label that is found",
        Axis("found", (0.0, 1.0), is_percent=True),
        Axis("precision", (0.0, 1.0), is_percent=True),
        series,
    )
