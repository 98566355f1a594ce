"""The result of `batch_norm_report`: figures by layer, a table, and words."""

from __future__ import annotations

import dataclasses
from typing import Any

from tl_toolkit.catalog import ADAPT
from tl_toolkit.progress import Table
from tl_toolkit.report.batch_norm_causes import FIXED, INHERITED, WHAT_HELPS

# Short, so that names of layers are whole in a terminal of 80 columns.
COLUMNS = ("layer", "mode", "mean", "worst", "var", "worst", "finding")
HEALTHY = "fits"
BATCH_NORM = "batch_norm.csv"  # in a run's folder
MOST_NAMES = 4  # layers that a sentence names


@dataclasses.dataclass(frozen=True)
class LayerGap:
    """How far one layer's moving statistics are from those of its input on the given images.

    Attributes:
        layer: Its name; `model/layer` in a model within the model.
        mode: `"adapt"`, `"affine"` or `"frozen"`, as it acts.
        momentum: Of its moving statistics.
        channels: How many it has.
        mean_gap: Median over channels of |moving mean - mean| in standard deviations of the data.
        worst_mean_gap: The largest of them.
        worst_mean_channel: Whose it is.
        variance_gap: Median over channels of |log(moving variance / variance)|, ε added to both.
        worst_variance_gap: The largest of them.
        worst_variance_channel: Whose it is.
        own_mean_gap: As `mean_gap`, where the layers before it normalise as in training.
        own_variance_gap: As `variance_gap`, likewise.
        sampling_error: Median standard error of the data's mean, in standard deviations: so much of `mean_gap` may
            come from the number of images.
        is_serious: Whether the gap is beyond what can be let be.
        cause: A word, empty for a layer that fits: a key of `report.batch_norm_causes.WHAT_HELPS`.
        explanation: What that means here.
    """

    layer: str
    mode: str
    momentum: float
    channels: int
    mean_gap: float
    worst_mean_gap: float
    worst_mean_channel: int
    variance_gap: float
    worst_variance_gap: float
    worst_variance_channel: int
    own_mean_gap: float
    own_variance_gap: float
    sampling_error: float
    is_serious: bool
    cause: str = ""
    explanation: str = ""


@dataclasses.dataclass(frozen=True)
class BatchStatisticsEffect:
    """What a classifier's answers are worth with either statistics; on images that it learned from, it flatters both.

    Attributes:
        top1: Accuracy with moving statistics, as served.
        batch_top1: Accuracy with each batch's own.
        log_loss: With moving statistics.
        batch_log_loss: With each batch's own.
    """

    top1: float
    batch_top1: float
    log_loss: float
    batch_log_loss: float


@dataclasses.dataclass(frozen=True)
class BatchNormReport:
    """What `tl.batch_norm_report` found. `str()` of it is a table.

    Attributes:
        rows: One for each layer, in the order of the network.
        images: How many it was measured on.
        effect: On accuracy and log loss; None where labels are not known.

    Examples:
        >>> report = tl.batch_norm_report("my_run", "folder:photos")
        >>> {row.mode for row in report.rows}
        {'frozen'}
        >>> print(report)  # doctest: +ELLIPSIS
        layer ...
    """

    rows: tuple[LayerGap, ...]
    images: int
    effect: BatchStatisticsEffect | None

    @property
    def is_healthy(self) -> bool:
        """Whether there is no serious gap but those of frozen and affine layers, which keep their statistics by intent."""
        # What is inherited has its cause in a row of its own.
        return {row.cause for row in self.rows if row.is_serious} <= {FIXED, INHERITED}

    @property
    def worst(self) -> LayerGap:
        """The layer with the largest gap among its channels' medians."""
        return max(self.rows, key=lambda row: max(row.mean_gap, row.variance_gap / 2))

    def summary(self) -> str:
        """Says in words what fits, what does not, why, and what helps; a line each."""
        serious = [row for row in self.rows if row.is_serious]
        lines = [self._verdict(len(serious))]
        for cause in dict.fromkeys(row.cause for row in serious):
            rows = [row for row in serious if row.cause == cause]
            lines.append(f"{_names(rows)}: {rows[0].explanation}. {WHAT_HELPS[cause]}")
        if self.effect is not None:
            effect = self.effect
            lines.append(
                f"With moving statistics, as served, accuracy is {effect.top1:.3f} and log loss "
                f"{effect.log_loss:.3f}; with each batch's own, {effect.batch_top1:.3f} and "
                f"{effect.batch_log_loss:.3f}."
            )
        return "\n".join(lines)

    def _verdict(self, serious: int) -> str:
        where = f"on {self.images} images, each layer's input taken as it is in evaluation"
        worst = self.worst
        if not serious:
            return (
                f"Healthy: the moving statistics of all {len(self.rows)} layers fit the data's. The largest gap is "
                f"that of {worst.layer}: {worst.mean_gap:.2f} standard deviations of the mean and "
                f"{worst.variance_gap:.2f} in log variance, the median channel's ({where})."
            )
        verdict = "Not those of these images, by intent" if self.is_healthy else "Serious"
        return (
            f"{verdict}: the moving statistics of {serious} of {len(self.rows)} layers are far from the data's. The "
            f"worst layer is {worst.layer}, by {worst.mean_gap:.2f} standard deviations of the mean and "
            f"{worst.variance_gap:.2f} in log variance, the median channel's ({where})."
        )

    def fact(self) -> str:
        """One line of figures, of the layers whose statistics move in training."""
        rows = [row for row in self.rows if row.mode == ADAPT]
        return (
            f"moving statistics within {max(row.mean_gap for row in rows):.2f} standard deviations (means) and "
            f"{max(row.variance_gap for row in rows):.2f} (log variances) of the data's, the median channel's of the "
            f"worst layer, on {self.images} training images"
        )

    def notes(self) -> tuple[str, ...]:
        """A line for each cause of a serious gap in layers whose statistics move in training."""
        serious = [
            r for r in self.rows if r.is_serious and r.mode == ADAPT and r.cause != INHERITED
        ]
        lines = []
        for cause in dict.fromkeys(row.cause for row in serious):
            rows = [row for row in serious if row.cause == cause]
            lines.append(
                f"batch normalisation's statistics do not fit the training images in {_names(rows)}: "
                f"{rows[0].explanation}. {WHAT_HELPS[cause]}"
            )
        return tuple(lines)

    def to_rows(self) -> list[dict[str, Any]]:
        """The rows as plain values, for a CSV file."""
        return [dataclasses.asdict(row) for row in self.rows]

    def table(self) -> Table:
        """The rows as text."""
        return Table(COLUMNS, tuple(_cells(row) for row in self.rows), self._caption())

    def _caption(self) -> str:
        return (
            f"Gaps on {self.images} images, of the median and of the worst channel: means in standard deviations of the "
            "data, variances as |log(moving / data)|."
        )

    def __str__(self) -> str:
        rows = [COLUMNS, *(_cells(row) for row in self.rows)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        is_text = [i in (0, 1, len(COLUMNS) - 1) for i in range(len(COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(width) if left else cell.rjust(width)
                for cell, width, left in zip(row, widths, is_text, strict=True)
            ).rstrip()
            for row in rows
        ]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], self._caption()])


def _cells(row: LayerGap) -> tuple[str, ...]:
    return (
        row.layer,
        row.mode,
        f"{row.mean_gap:.2f}",
        f"{row.worst_mean_gap:.2f}",
        f"{row.variance_gap:.2f}",
        f"{row.worst_variance_gap:.2f}",
        row.cause or HEALTHY,
    )


def _names(rows: list[LayerGap]) -> str:
    names = ", ".join(row.layer for row in rows[:MOST_NAMES])
    more = len(rows) - MOST_NAMES
    if rows[0].cause == INHERITED and more > 0:
        return f"{len(rows)} layers, from {rows[0].layer} on"
    return f"{names} and {more} more" if more > 0 else names
