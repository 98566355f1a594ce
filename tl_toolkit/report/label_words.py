"""What a summary and a model card say of a classifier that gives a photo any number of labels, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = ("label", "AP", "F1", "precision", "recall", "given from", "photos", "missed", "false")


def figures_of_splits(metrics: Mapping[str, Any]) -> list[str]:
    """Returns a table of the test and the validation images, and what it was measured with.

    Args:
        metrics: What `metrics.json` holds.
    """
    test, validation = metrics["test"], metrics.get("validation")
    lines = [
        "| | mean average precision | macro F1 | micro F1 | all labels right | 95% interval | Hamming loss | log loss | images |",
        "|---|---|---|---|---|---|---|---|---|",
        _row("test", test, is_thresholded=True),
    ]
    if validation:
        lines.append(_row("validation", validation, is_thresholded=False))
    return [*lines, "", thresholds_in_words(metrics.get("label_thresholds") or {})]


def _row(name: str, figures: Mapping[str, Any], *, is_thresholded: bool) -> str:
    low, high = figures["subset_accuracy_interval"]
    at_thresholds = ["–"] * 5  # they were chosen on these images, and would flatter
    if is_thresholded:
        at_thresholds = [
            _figure(figures["macro_f1"]),
            _figure(figures["micro_f1"]),
            _figure(figures["subset_accuracy"]),
            f"{low:.3f}–{high:.3f}",
            _figure(figures["hamming_loss"]),
        ]
    return (
        f"| {name} | {_figure(figures['mean_average_precision'])} | {' | '.join(at_thresholds)} "
        f"| {figures['log_loss']:.3f} | {figures['examples']} |"
    )


def thresholds_in_words(chosen: Mapping[str, Any]) -> str:
    """Returns what labels' thresholds were chosen by."""
    if not chosen.get("images"):
        return "Every label is given from probability 0.5 on: there were no images to choose thresholds by."
    return (
        f"Each label is given from a probability on that {chosen['images']} {chosen['chosen_on']} chose for its F1; no test "
        "image took part."
    )


def label_rows(
    labels: Mapping[str, Mapping[str, Any]], plain: Any = str
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns columns and rows of a table by label; `plain` makes a name safe where it is shown."""
    rows: list[tuple[str, ...]] = [
        (
            plain(name),
            _figure(of["average_precision"]),
            _figure(of["f1"]),
            _figure(of["precision"]),
            _figure(of["recall"]),
            "–" if of["threshold"] is None else f"{of['threshold']:g}",
            f"{of['support']} ({100 * of['prevalence']:.1f}%)",
            str(of["missed"]),
            str(of["false"]),
        )
        for name, of in labels.items()
    ]
    return COLUMNS, rows


def table_of_labels(
    labels: Mapping[str, Mapping[str, Any]], plain: Any = str, most: int | None = None
) -> list[str]:
    """Returns it in Markdown; `most` is how many labels are shown."""
    columns, rows = label_rows(labels, plain)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows[:most]]
    if most is not None and len(rows) > most:
        lines.append(f"| … and {len(rows) - most} more |" + " |" * (len(columns) - 1))
    return lines


def card_opening(test: Mapping[str, Any], chosen: str) -> list[str]:
    """Returns what a model card says first: what it gives, and how well."""
    low, high = test["subset_accuracy_interval"]
    return [
        f"Says which of {len(test['labels'])} labels a photo has: several, one or none.",
        "",
        "## How often it is right",
        "",
        f"On {test['examples']} test images that nothing was learned from or chosen by: mean average precision "
        f"{_figure(test['mean_average_precision'])}, macro F1 {_figure(test['macro_f1'])}, micro F1 "
        f"{_figure(test['micro_f1'])}. {test['subset_accuracy']:.1%} of the images have all labels right (95% interval "
        f"{low:.1%} to {high:.1%}), and {test['hamming_loss']:.1%} of all answers are wrong (Hamming loss); log loss "
        f"{test['log_loss']:.3f}. {chosen}",
        "",
    ]


def rarest(test: Mapping[str, Any], below: int) -> list[str]:
    """Returns the labels that fewer test images have."""
    return [name for name, of in test["labels"].items() if of["support"] < below]


def names_in_words(names: Sequence[str], most: int = 6) -> str:
    """Returns some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def commoner_answers(test: Mapping[str, Any]) -> float:
    """Returns the share of labels that is right where each is given to all photos or to none, whichever is right more often."""
    shares = [of["prevalence"] for of in test["labels"].values()]
    return statistics.fmean(max(share, 1 - share) for share in shares)


def mean_figure(values: Sequence[float | None]) -> str:
    """Returns the mean of a figure over several runs, as it is read; `–` where they have none."""
    known = [value for value in values if value is not None]
    return _figure(statistics.fmean(known) if known else None)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
