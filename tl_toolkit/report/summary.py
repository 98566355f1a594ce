"""The page that a run leaves to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tl_toolkit.progress import Table
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
    ladder: Table | None = None,
) -> str:
    """Returns a Markdown page: figures, what moved in training, and what the reader should know."""
    test, validation = metrics["test"], metrics.get("validation")
    low, high = test["top1_interval"]
    lines = [
        f"# {title}",
        "",
        dataset_line + ".",
        "",
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
