"""`tl-toolkit weights`."""

from __future__ import annotations

from collections.abc import Sequence

import tyro
from rich.console import Console
from rich.table import Table

from tl_toolkit.catalog import WeightSpec, list_weights
from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.tables import print_json


def weights(architecture: tyro.conf.Positional[Maybe[str]] = None, json: bool = False) -> None:
    """Lists the weights that `--weights` takes by name.

    Args:
        architecture: A network, such as resnet18. Default: all.
        json: Print JSON, which includes the preprocessing, and the number of classes instead of the class names.
    """
    specs = list_weights(architecture)
    if json:
        # A thousand class names per set would bury the rest.
        print_json([{**spec.to_json(), "class_names": len(spec.class_names)} for spec in specs])
        return
    print_weights(specs, Console())


def print_weights(specs: Sequence[WeightSpec], console: Console) -> None:
    """Prints a table with one line per set of weights."""
    table = Table()
    table.add_column("name", no_wrap=True)
    for heading in ("image", "top-1", "licence", "from"):
        table.add_column(heading, overflow="fold")
    for spec in specs:
        top1 = f"{spec.top1:.3f}" if spec.top1 is not None else "–"
        side = f"{spec.preprocessing.image_size}" if spec.preprocessing else "–"
        licence, place = spec.licence.partition(";")[0], spec.source.partition(":")[0]
        name = f"{spec.name} *" if spec.hard_labels else spec.name
        table.add_row(name, side, top1, licence, place)
    console.print(table)
    console.print(
        f"{len(specs)} sets. 'imagenet' means the best one available for a network, and never one whose licence forbids "
        "commercial use. Cached ones come first, then this order. Where layers stay frozen, sets with a star (learned from "
        "hard labels) come before the others.",
        soft_wrap=True,
    )
