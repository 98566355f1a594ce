"""Tables that several commands print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tl_toolkit.cli.terminal import TerminalProgress, drawn
from tl_toolkit.progress import Table
from tl_toolkit.report.ladder import ACCURACY, LABELS_RIGHT
from tl_toolkit.report.metrics_table import metrics_table

if TYPE_CHECKING:
    from tl_toolkit.experiments.compare import Comparison
    from tl_toolkit.experiments.export_run import Exports
    from tl_toolkit.experiments.k_fold import CrossValidation
    from tl_toolkit.experiments.resolved_fields import ResolvedField
    from tl_toolkit.experiments.run import RunResult
    from tl_toolkit.export.predictions import Prediction
    from tl_toolkit.report.paired_test import PairedTest
    from tl_toolkit.transfer.plan import FreezePlan
    from tl_toolkit.tuning.search import SearchResult


def print_json(values: Any) -> None:
    """Prints plain values, indented."""
    print(json.dumps(values, indent=2))


def defaults_table(fields: Sequence[ResolvedField]) -> Table:
    """A row a field that a recipe leaves open."""
    rows = [(f"--{field.name.replace('_', '-')}", field.value, field.reason) for field in fields]
    caption = (
        "A dash: it is off, or has no say here. The rules are fixed for all tasks, as BiT's are (Kolesnikov et al. 2020): "
        "nothing was searched for these images."
    )
    return Table(("left open", "becomes", "by default"), tuple(rows), caption)


def label_table(metrics: dict[str, Any]) -> Table:
    """A row a label, of what `label_metrics` returns."""
    from tl_toolkit.report.label_words import label_rows

    columns, rows = label_rows(metrics["labels"])
    return Table(columns, tuple(rows))


def plan_table(plan: FreezePlan) -> Table:
    """A row a stage: what is trained, what is frozen, and batch normalisation's mode."""
    from tl_toolkit.report.summary import PLAN_COLUMNS, plan_rows

    caption = f"Computed once and kept: everything up to {plan.cut}." if plan.cut else ""
    return Table(PLAN_COLUMNS, tuple(plan_rows(plan)), caption)


def predictions_table(
    images: Sequence[str],
    predictions: Sequence[Prediction],
    top: int,
    unsure_below: float | None = None,
) -> Table:
    """A row an image: the most probable classes; with `unsure_below` the answer too, or that it is unsure.

    Of a classifier that gives any number of labels: the labels that are given, and the most probable ones.
    """
    given = [getattr(prediction, "labels", None) for prediction in predictions]
    has_labels = any(labels is not None for labels in given)
    count = min(top, len(predictions[0].probabilities))
    rows = [
        (
            image,
            *([_answer(p, unsure_below)] if unsure_below is not None else ()),
            *([", ".join(labels or ()) or "–"] if has_labels else ()),
            *(f"{name} {score:.3f}" for name, score in list(p.probabilities.items())[:count]),
        )
        for image, p, labels in zip(images, predictions, given, strict=True)
    ]
    answer = ("answer",) if unsure_below is not None else ()
    answer = ("labels",) if has_labels else answer
    return Table(("image", *answer, *(f"{n + 1}." for n in range(count))), tuple(rows))


def _answer(prediction: Prediction, unsure_below: float) -> str:
    return prediction.class_name if prediction.score >= unsure_below else "unsure"


def held_back_in_words(row: dict[str, Any]) -> str:
    """What `held_back` returns, as a sentence."""
    given = f"Answers with a probability of at least {row['below']:g}: {row['given']}"
    share = f"{100 * row['held_back']:.1f}% are held back as unsure"
    if row["top1"] is None:
        return f"{given}; {share}."
    low, high = row["top1_interval"]
    return f"{given}, {100 * row['top1']:.1f}% of them right (95% interval {100 * low:.1f}% to {100 * high:.1f}%); {share}."


def folds_table(found: CrossValidation) -> Table:
    """A row a fold, their mean and range, and all images together."""
    rows = [
        (str(f.fold + 1), str(f.images), f"{f.top1:.3f}", "", f"{f.log_loss:.3f}")
        for f in found.folds
    ]
    low, high = found.range_top1
    rows.append(("mean and range", "", f"{found.mean_top1:.3f}", f"{low:.3f}–{high:.3f}", ""))
    pooled = found.pooled
    if "top1" not in pooled:
        of_all = f"{1 - pooled['hamming_loss']:.3f}", ""
        precision = pooled["mean_average_precision"]
        mean = "–" if precision is None else f"{precision:.3f}"
        last = [("mean average precision of all, out of fold", "", mean, "", "")]
    else:
        low, high = pooled["top1_interval"]
        of_all, last = (f"{pooled['top1']:.3f}", f"{low:.3f}–{high:.3f} (95%)"), []
    examples, loss = str(pooled["examples"]), f"{pooled['log_loss']:.3f}"
    rows += [("all, out of fold", examples, *of_all, loss), *last]
    measure = "top-1" if found.measure == ACCURACY else found.measure
    return Table(("fold", "images", measure, "range", "log loss"), tuple(rows))


def paired_table(found: PairedTest) -> Table:
    """How many images two runs have right, together and alone."""
    rows = (
        ("A right", str(found.both_right), str(found.only_a)),
        ("A wrong", str(found.only_b), str(found.both_wrong)),
    )
    return Table(("test images", "B right", "B wrong"), rows)


def print_run(result: RunResult, progress: TerminalProgress) -> None:
    """Prints a finished run."""
    from tl_toolkit.report.ladder import ladder_table

    if result.rungs:
        progress.console.print(drawn(ladder_table(result.rungs)))
    figures = {"test": result.test, "validation": result.validation}
    progress.console.print(drawn(metrics_table(figures)))
    for note in result.notes:
        progress.message(f"note: {note}")
    progress.message(
        f"{result.seconds:.1f} s of training. Everything is in {result.folder}\n"
        f"The page to look at: {result.page}\n"
        f"tl-toolkit predict {result.folder} PHOTO.jpg"
    )


def print_comparison(comparison: Comparison, progress: TerminalProgress) -> None:
    """Prints a finished comparison."""
    from tl_toolkit.experiments.strategy_result import differences_in_words, strategies_table

    best = comparison.best.strategy
    in_words = differences_in_words(comparison.results, best, comparison.test_images)
    true_class, predicted, score = comparison.example
    example = f"For the first test image, a {true_class!r}, it predicts {predicted!r} with probability {score:.3f}."
    if comparison.best.measure == LABELS_RIGHT:
        example = (
            f"The first test image has {true_class!r}, and is given {predicted!r}; its most probable label has probability "
            f"{score:.3f}."
        )
    progress.message(comparison.title)
    progress.console.print(drawn(strategies_table(comparison.results)))
    if in_words:
        progress.message(in_words)
    progress.message(
        f"Best strategy (chosen without the test set): {best}. Its SavedModel: "
        f"{comparison.saved_model}\n"
        f"{example}\n"
        f"The page to look at: {comparison.page}"
    )


def print_search(result: SearchResult, progress: TerminalProgress) -> None:
    """Prints a finished search."""
    from tl_toolkit.tuning.display import trials_table

    progress.console.print(drawn(trials_table(result.trials, result.objective)))
    if result.retrained:
        tests = {f"test, seed {final.recipe.seed}": final.test for final in result.retrained}
        progress.console.print(drawn(metrics_table(tests)))
    progress.message(
        f"Best trial by validation images: {result.best.number}. Everything is in {result.folder}\n"
        f"The page to look at: {result.page}\n"
        f"tl-toolkit train --recipe {result.folder / 'best_recipe.json'}"
    )


def exports_table(exports: Exports) -> Table:
    """A row a format, beside the SavedModel."""
    from tl_toolkit.report.paired_test import p_text

    rows = []
    for row in exports.formats.values():
        is_reference = row.format == "savedmodel"
        changed = str(row.changed_answers)
        if row.changed_answers:
            changed += f" (p {p_text(row.mcnemar_p, '= ')})"
        rows.append(
            (
                row.format,
                "–" if is_reference else f"{row.largest_difference:.1e}",
                "–" if is_reference else changed,
                f"{row.top1:.3f}",
                f"{row.calibration_error:.3f}",
                f"{row.megabytes:.2f}",
                *(f"{speed:,.0f}" for speed in row.images_per_second.values()),
            )
        )
    columns = (
        "format",
        "off by",
        "changed",
        "top-1",
        "ECE",
        "MB",
        *(f"img/s {size}" for size in next(iter(exports.formats.values())).images_per_second),
    )
    caption = (
        f"Compared with the SavedModel on {exports.compared_on}: the largest difference of a probability, answers that "
        "changed (with McNemar's p), accuracy, expected calibration error, and images a second by the batch size, on this machine's processor."
    )
    return Table(columns, tuple(rows), caption)
