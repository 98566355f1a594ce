"""Charts of how a training went: its curves, or the path of a head that was solved for, and the ladder of a climb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from tl_toolkit.report.ladder import Rung, measured
from tl_toolkit.report.page.xy_chart import Axis, Series, xy_chart

# Column of the history on the training images, and on the validation images.
LOSSES = {"loss": "training", "val_loss": "validation"}
ACCURACIES = {"top1": "training", "val_top1": "validation"}
OF_LABELS = {"label_accuracy": "training", "val_label_accuracy": "validation"}

Rows = Sequence[Mapping[str, float]]


def training_charts(history: Rows, kept: int | None) -> list[Markup]:
    """Draws loss and accuracy by epoch, or by the strength of a head that was solved for.

    Args:
        history: As `history.csv` has it.
        kept: Number of the row that was kept, from 0; None: the last one, without a choice.
    """
    if len(history) < 2:
        return []
    if "label_accuracy" in history[0]:
        return _charts_of_labels(history, kept)
    if "strength" in history[0]:
        return [
            _path(history, kept, "log_loss", "log loss out of fold", is_percent=False),
            _path(history, kept, "top1", "accuracy out of fold", is_percent=True),
        ]
    return [
        _curves(history, kept, LOSSES, "loss", is_percent=False),
        _curves(history, kept, ACCURACIES, "accuracy", is_percent=True),
    ]


def _charts_of_labels(history: Rows, kept: int | None) -> list[Markup]:
    if "strength" in history[0]:
        right = "share of labels right out of fold"
        return [
            _path(history, kept, "log_loss", "log loss out of fold", is_percent=False),
            _path(history, kept, "label_accuracy", right, is_percent=True),
        ]
    return [
        _curves(history, kept, LOSSES, "loss", is_percent=False),
        _curves(history, kept, OF_LABELS, "share of labels right", is_percent=True),
    ]


def ladder_chart(rungs: Sequence[Rung], selected_on: str) -> Markup | None:
    """Draws accuracy by the seconds of training that it cost, rung by rung; None where fewer than two were climbed."""
    climbed = measured(rungs)
    if len(climbed) < 2:
        return None
    seconds = np.cumsum([rung.seconds for rung in climbed]).tolist()
    accuracies = [rung.top1 or 0.0 for rung in climbed]
    best = np.maximum.accumulate(accuracies).tolist()
    kept = [number for number, rung in enumerate(climbed) if rung.kept]
    measure = climbed[0].measure
    return xy_chart(
        f"{measure.capitalize()} of every rung by the seconds of all rungs up to it",
        Axis("seconds of training, all rungs so far", is_log=seconds[-1] > 10 * seconds[0]),
        Axis(f"{measure} on {selected_on}" if selected_on else measure, is_percent=True),
        [
            Series("best so far", seconds, best, "step"),
            Series(
                "rung", seconds, accuracies, "points", [str(rungs.index(r) + 1) for r in climbed]
            ),
            Series("kept", [seconds[n] for n in kept], [accuracies[n] for n in kept], "points"),
        ],
    )


def _curves(
    history: Rows, kept: int | None, columns: Mapping[str, str], label: str, *, is_percent: bool
) -> Markup:
    epochs = [row.get("epoch", number + 1) for number, row in enumerate(history)]
    series = [
        Series(name, epochs, [row[column] for row in history])
        for column, name in columns.items()
        if column in history[0]
    ]
    if kept is not None and 0 <= kept < len(history):
        values = [value for one in series for value in one.y]
        series.append(Series("kept", [epochs[kept]] * 2, [min(values), max(values)], "reference"))
    return xy_chart(
        f"{label} by epoch",
        Axis("epoch", is_whole=True),
        Axis(label, is_percent=is_percent),
        series,
    )


def _path(history: Rows, kept: int | None, column: str, label: str, *, is_percent: bool) -> Markup:
    strengths, values = ([row[name] for row in history] for name in ("strength", column))
    series = [Series("cross-validation", strengths, values)]
    if kept is not None:
        series.append(
            Series("chosen", [strengths[kept]] * 2, [min(values), max(values)], "reference")
        )
    return xy_chart(
        f"{label} by the strength of the head",
        Axis("strength C (smaller: held back more)", is_log=True),
        Axis(label, is_percent=is_percent),
        series,
    )
