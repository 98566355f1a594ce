"""`tl-toolkit paired`."""

from __future__ import annotations

import dataclasses

import tyro

from tl_toolkit.cli.tables import paired_table, print_json


def paired(
    run_a: tyro.conf.Positional[str], run_b: tyro.conf.Positional[str], json: bool = False
) -> None:
    """Says whether two finished runs differ beyond chance on the same test images (McNemar's exact test).

    Args:
        run_a: A finished run's folder, A.
        run_b: Another one's, B. The two must have been tested on the same images.
        json: Print JSON.
    """
    from rich.console import Console

    from tl_toolkit.cli.terminal import drawn
    from tl_toolkit.experiments.paired_runs import paired_test

    found = paired_test(run_a, run_b)
    if json:
        print_json({**dataclasses.asdict(found), "is_beyond_chance": found.is_beyond_chance})
        return
    console = Console()
    console.print(f"A: {run_a}\nB: {run_b}", markup=False, soft_wrap=True)
    console.print(drawn(paired_table(found)))
    console.print(str(found), markup=False, soft_wrap=True)
