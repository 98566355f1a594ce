"""The page that a run leaves to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tl_toolkit.progress import Table
from tl_toolkit.report.held_back import IN_SUMMARY
from tl_toolkit.report.label_metrics import are_of_labels
from tl_toolkit.report.label_words import figures_of_splits, table_of_labels
from tl_toolkit.transfer.plan import FreezePlan

PLAN_COLUMNS = ("stage", "trained parameters", "frozen parameters", "batch normalisation")


def plan_rows(plan: FreezePlan) -> list[tuple[str, str, str, str]]:
    """(stage, trained parameters, frozen parameters, batch normalisation modes) of every stage."""
    rows = [
        (stage.stage, f"{stage.trained:,}", f"{stage.frozen:,}", " + ".join(stage.bn_modes) or "–")
        for stage in plan.stages
    ]
    frozen = sum(stage.frozen for stage in plan.stages)
    return [*rows, ("all", f"{plan.trained_parameters:,}", f"{frozen:,}", "")]


def write_summary(
    title: str,
    dataset_line: str,
    plan: FreezePlan,
    metrics: dict[str, Any],
    facts: dict[str, str],
    notes: Sequence[str],
    find: float | None = None,
    why_positive: str = "",
    ladder: Table | None = None,
) -> str:
    """Returns a Markdown page: figures, what moved in training, and what the reader should know.

    Args:
        title: Of the page.
        dataset_line: What was trained and tested on.
        plan: What moved.
        metrics: What `metrics.json` holds.
        facts: To list, by name.
        notes: What the reader should know.
        find: Share of the positive class that is to be found; None: several are listed.
        why_positive: Why the positive class is that one, of two classes.
        ladder: The rungs that the model was chosen from; its caption names the images that selected.
    """
    lines = [f"# {title}", "", dataset_line + ".", ""]
    if are_of_labels(metrics["test"]):
        lines += figures_of_splits(metrics)
        lines += ["", "## Labels", "", *table_of_labels(metrics["test"]["labels"])]
    else:
        lines += _one_class(metrics, find, why_positive, ladder)
    lines += [
        "",
        "## What was trained",
        "",
        f"| {' | '.join(PLAN_COLUMNS)} |",
        "|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in plan_rows(plan)]
    lines += ["", "## Facts", ""] + [f"- {name}: {value}" for name, value in facts.items() if value]
    lines += ["", "## Notes", ""] + [f"- {note}" for note in notes or ["none"]]
    return "\n".join(lines) + "\n"


def _one_class(
    metrics: dict[str, Any], find: float | None, why_positive: str, ladder: Table | None
) -> list[str]:
    """Figures of photos of one class; the arguments are those of `write_summary`."""
    test, validation = metrics["test"], metrics.get("validation")
    low, high = test["top1_interval"]
    lines = [
        "| | top-1 | 95% interval | balanced accuracy | log loss | images |",
        "|---|---|---|---|---|---|",
        f"| test | {test['top1']:.3f} | {low:.3f}–{high:.3f} | {test['balanced_accuracy']:.3f} "
        f"| {test['log_loss']:.3f} | {test['examples']} |",
    ]
    if validation:
        low, high = validation["top1_interval"]
        lines.append(
            f"| validation | {validation['top1']:.3f} | {low:.3f}–{high:.3f} "
            f"| {validation['balanced_accuracy']:.3f} | {validation['log_loss']:.3f} "
            f"| {validation['examples']} |"
        )
    if ladder is not None:
        lines += ["", "## Rungs", "", f"Accuracy and log loss on {ladder.caption}.", ""]
        lines += [f"| {' | '.join(ladder.columns)} |", "|---" * len(ladder.columns) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in ladder.rows]
    lines += [
        "",
        "## Classes",
        "",
        "| class | precision | recall | F1 | images |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {c['precision']:.3f} | {c['recall']:.3f} | {c['f1']:.3f} | {c['support']} |"
        for name, c in test["classes"].items()
    ]
    if test.get("positive_class") is not None:
        lines += _finding(test, metrics["thresholds"], find, why_positive)
    return lines + _held_back(metrics.get("held_back", []))


def _finding(
    test: dict[str, Any], rows: Sequence[dict[str, Any]], find: float | None, why: str
) -> list[str]:
    """What the positive class can be found with, by thresholds that other images than the test's chose."""
    name = test["positive_class"]
    lines = ["", f"## Finding {name!r}", ""]
    if test["roc_auc"] is not None:
        lines += [
            f"{name!r} is the positive class ({why}). On the test images: area under the ROC curve "
            f"{test['roc_auc']:.3f}, average precision {test['average_precision']:.3f} (`roc.png`).",
            "",
        ]
    if not rows:
        return [*lines, "There are no images but the test's to choose a threshold by."]
    chosen_on = (
        f"{rows[0]['images']} {rows[0]['chosen_on']}, {rows[0]['positive_images']} of them {name!r}"
    )
    if find is not None:
        (row,) = rows
        at = row["test"]
        return [
            *lines,
            f"To find {100 * find:g}% of {name!r}: answer it from probability {row['threshold']:g} on (chosen on "
            f"{chosen_on}); on the test images that finds {_percent(at['found'])} at {_percent(at['false_alarms'])} "
            "false alarms.",
        ]
    lines += [
        "| to find | answer it from probability | finds | false alarms | precision |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        figures = (_percent(row["test"][key]) for key in ("found", "false_alarms", "precision"))
        lines.append(f"| {100 * row['find']:g}% | {row['threshold']:g} | {' | '.join(figures)} |")
    return [*lines, "", f"Chosen on {chosen_on}; measured on the test images."]


def _held_back(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the answers are worth that are given if unsure ones are held back."""
    rows = [row for row in rows if row["below"] in IN_SUMMARY]
    if not rows:
        return []
    lines = [
        "",
        "## Unsure answers held back",
        "",
        "| held back below | answers held back | right, of those given | 95% interval |",
        "|---|---|---|---|",
    ]
    for row in rows:
        interval = "–".join(_percent(end) for end in row["top1_interval"] or ()) or "–"
        lines.append(
            f"| {row['below']:g} | {_percent(row['held_back'])} | {_percent(row['top1'])} | {interval} |"
        )
    return lines


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"
