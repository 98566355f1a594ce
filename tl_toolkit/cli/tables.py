"""Tables that several commands print."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tl_toolkit.cli.terminal import TerminalProgress, drawn
from tl_toolkit.progress import Table

if TYPE_CHECKING:
    from tl_toolkit.experiments.compare import Comparison
    from tl_toolkit.export.classifier import Prediction
    from tl_toolkit.report.paired_test import PairedTest
    from tl_toolkit.transfer.plan import FreezePlan
    from tl_toolkit.tuning.search import SearchResult


def print_json(values: Any) -> None:
    """Prints plain values, indented."""
    print(json.dumps(values, indent=2))


def metrics_table(metrics: dict[str, Any]) -> Table:
    """A row a split, of what `classification_metrics` returns."""
    rows = []
    for split, values in metrics.items():
        if not isinstance(values, dict):
            continue
        low, high = values["top1_interval"]
        rows.append(
            (
                split,
                str(values["examples"]),
                f"{values['top1']:.3f}",
                f"{low:.3f}–{high:.3f}",
                f"{values['balanced_accuracy']:.3f}",
                f"{values['log_loss']:.3f}",
            )
        )
    columns = ("", "images", "top-1", "95% interval", "balanced accuracy", "log loss")
    return Table(columns, tuple(rows))


def plan_table(plan: FreezePlan) -> Table:
    """A row a stage: what is trained, what is frozen, and batch normalisation's mode."""
    from tl_toolkit.report.summary import PLAN_COLUMNS, plan_rows

    caption = f"Computed once and kept: everything up to {plan.cut}." if plan.cut else ""
    return Table(PLAN_COLUMNS, tuple(plan_rows(plan)), caption)


def predictions_table(images: Sequence[str], predictions: Sequence[Prediction], top: int) -> Table:
    """A row an image: the most probable classes."""
    count = min(top, len(predictions[0].probabilities))
    rows = [
        (image, *(f"{name} {score:.3f}" for name, score in list(p.probabilities.items())[:count]))
        for image, p in zip(images, predictions, strict=True)
    ]
    return Table(("image", *(f"{n + 1}." for n in range(count))), tuple(rows))


def paired_table(found: PairedTest) -> Table:
    """How many images two runs have right, together and alone."""
    rows = (
        ("A right", str(found.both_right), str(found.only_a)),
        ("A wrong", str(found.only_b), str(found.both_wrong)),
    )
    return Table(("test images", "B right", "B wrong"), rows)


def print_comparison(comparison: Comparison, progress: TerminalProgress) -> None:
    """Prints a finished comparison."""
    from tl_toolkit.experiments.strategy_result import differences_in_words
    from tl_toolkit.report.paired_test import p_text

    rows = [
        (
            result.strategy,
            f"{statistics.fmean(result.test_top1):.3f}",
            f"{min(result.test_top1):.3f}–{max(result.test_top1):.3f}",
            f"{100 * result.difference:+.1f} points, p {p_text(result.p_value, '= ')}"
            if result.p_value is not None
            else "the best",
            f"{statistics.median(result.seconds):.1f}",
            f"{result.trained_parameters:,}",
        )
        for result in comparison.results
    ]
    columns = (
        "strategy",
        "test accuracy",
        "range",
        "against the best",
        "seconds",
        "trained parameters",
    )
    best = comparison.best.strategy
    in_words = differences_in_words(comparison.results, best, comparison.test_images)
    true_class, predicted, score = comparison.example
    progress.message(comparison.title)
    progress.console.print(drawn(Table(columns, tuple(rows))))
    if in_words:
        progress.message(in_words)
    progress.message(
        f"Best strategy (chosen without the test set): {best}. Its SavedModel: "
        f"{comparison.saved_model}\n"
        f"For the first test image, a {true_class!r}, it predicts {predicted!r} with probability {score:.3f}."
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
        f"tl-toolkit train --recipe {result.folder / 'best_recipe.json'}"
    )
