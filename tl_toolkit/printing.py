"""What the command line prints of plans, results and figures."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tl_toolkit.recipe import Recipe


def print_plan(recipe: Recipe, console: Console) -> None:
    """What would be trained and what frozen, with every number; images are not read."""
    from tl_toolkit.experiment import prepare
    from tl_toolkit.report.summary import plan_table

    experiment = prepare(recipe)
    console.print(escape(experiment.dataset.summary()))
    console.print(
        plan_table(experiment.plan, f"{recipe.strategy.name} from {experiment.spec.name}")
    )
    console.print(f"precision: {experiment.precision}")
    for field in dataclasses.fields(experiment.numbers):
        if field.name != "notes":
            console.print(f"{field.name}: {getattr(experiment.numbers, field.name)}")
    for note in experiment.notes:
        console.print(f"note: {escape(note)}")


def print_result(result: Any, console: Console) -> None:
    """A `RunResult`."""
    print_metrics({"test": result.test, "validation": result.validation}, console)
    for note in result.notes:
        console.print(f"note: {escape(note)}")
    console.print(
        f"{result.seconds:.1f} s of training. Everything is in {result.folder}\n"
        f"tl-toolkit predict {result.folder} PHOTO.jpg",
        soft_wrap=True,
    )


def print_search(result: Any, console: Console) -> None:
    """A `SearchResult`."""
    from tl_toolkit.tuning.display import trials_table

    console.print(trials_table(list(result.trials), result.objective))
    for final in result.retrained:
        print_metrics({f"test, seed {final.recipe.seed}": final.test}, console)
    console.print(
        f"Best by validation images: trial {result.best.number}. Everything is in {result.folder}\n"
        f"tl-toolkit train --recipe {result.folder / 'best_recipe.json'}",
        soft_wrap=True,
    )


def print_metrics(metrics: dict[str, Any], console: Console) -> None:
    """A row a split, of what `classification_metrics` returns."""
    table = Table("", "images", "top-1", "95% interval", "balanced accuracy", "log loss")
    for split, values in metrics.items():
        if isinstance(values, dict):
            low, high = values["top1_interval"]
            table.add_row(
                split,
                str(values["examples"]),
                f"{values['top1']:.3f}",
                f"{low:.3f}–{high:.3f}",
                f"{values['balanced_accuracy']:.3f}",
                f"{values['log_loss']:.3f}",
            )
    console.print(table)


def print_json(values: Any) -> None:
    """Plain values, indented."""
    print(json.dumps(values, indent=2))
