"""What the command line prints of plans, results and figures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tl_toolkit.catalog import BLOCK_COUNTS, WeightSpec
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


def print_predictions(
    images: Sequence[str], predictions: Sequence[Any], top: int, console: Console
) -> None:
    """A row an image, of what `Classifier.predict` returns."""
    count = min(top, len(predictions[0].probabilities))
    table = Table("image", *(f"{n + 1}." for n in range(count)))
    for image, prediction in zip(images, predictions, strict=True):
        best = list(prediction.probabilities.items())[:top]
        table.add_row(escape(image), *(f"{escape(name)} {score:.3f}" for name, score in best))
    console.print(table)


def print_networks(name: str | None, image_size: int, console: Console) -> None:
    """Prints the networks in short, or the architecture table of one."""
    from tl_toolkit.catalog import Architecture
    from tl_toolkit.models.architecture_table import costs, stage_rows

    if name is not None:
        table = Table("stage", "output", "layers", "shortcut", title=f"{name} at {image_size} px")
        for row in stage_rows(Architecture.named(name), side=image_size):
            output = f"{row.output_size}x{row.output_size}"
            table.add_row(row.stage, output, escape(row.layers), row.shortcut)
        console.print(table)
    table = Table("network", "variant", "parameters", "multiply-adds", "He et al. 2015")
    for network in [name] if name is not None else BLOCK_COUNTS:
        for cost in costs(network, image_size):
            paper = f"{cost.paper / 1e9:.1f} G" if cost.paper else "–"
            count = f"{cost.multiply_adds / 1e9:.2f} G"
            table.add_row(cost.name, cost.variant, f"{cost.parameters:,}", count, paper)
    console.print(table)


def print_weights(specs: Sequence[WeightSpec], console: Console) -> None:
    """Prints sets of weights, a line each."""
    table = Table()
    table.add_column("name", no_wrap=True)
    for heading in ("image", "top-1", "licence", "from"):
        table.add_column(heading, overflow="fold")
    for spec in specs:
        top1 = f"{spec.top1:.3f}" if spec.top1 is not None else "–"
        side = f"{spec.preprocessing.image_size}" if spec.preprocessing else "–"
        licence, place = spec.licence.partition(";")[0], spec.source.partition(":")[0]
        table.add_row(spec.name, side, top1, licence, place)
    console.print(table)
    console.print(
        f"{len(specs)} sets. 'imagenet' means the best that can be had for a network: what is in a cache "
        "first, then in this order; none that forbids commercial use.",
        soft_wrap=True,
    )
