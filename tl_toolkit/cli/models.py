"""`tl-toolkit models`."""

from __future__ import annotations

import tyro
from rich.console import Console

from tl_toolkit.catalog import BLOCK_COUNTS, Architecture
from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.terminal import drawn, terminal
from tl_toolkit.errors import unknown_name
from tl_toolkit.progress import Table


def models(
    name: tyro.conf.Positional[Maybe[str]] = None, image_size: int = 224, verbose: bool = False
) -> None:
    """Lists the networks, or shows the architecture table of one.

    Args:
        name: A network, such as resnet50. Default: a summary of all.
        image_size: Side of the square input image in pixels.
        verbose: Show TensorFlow's own messages.
    """
    if name is not None and name not in BLOCK_COUNTS:
        raise unknown_name("backbone", name, BLOCK_COUNTS)
    with terminal(verbose) as progress:
        print_networks(name, image_size, progress.console)


def print_networks(name: str | None, image_size: int, console: Console) -> None:
    """Prints a summary of all networks, or of one with its architecture table."""
    from tl_toolkit.models.architecture_table import costs, stage_rows

    if name is not None:
        stages = [
            (row.stage, f"{row.output_size}x{row.output_size}", row.layers, row.shortcut)
            for row in stage_rows(Architecture.named(name), side=image_size)
        ]
        console.print(f"{name} at {image_size} px")
        console.print(drawn(Table(("stage", "output", "layers", "shortcut"), tuple(stages))))
    rows = []
    for network in [name] if name is not None else BLOCK_COUNTS:
        for cost in costs(network, image_size):
            paper = f"{cost.paper / 1e9:.1f} G" if cost.paper else "–"
            count = f"{cost.multiply_adds / 1e9:.2f} G"
            rows.append((cost.name, cost.variant, f"{cost.parameters:,}", count, paper))
    columns = ("network", "variant", "parameters", "multiply-adds", "He et al. 2015")
    console.print(drawn(Table(columns, tuple(rows))))
