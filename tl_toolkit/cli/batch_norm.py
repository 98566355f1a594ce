"""`tl-toolkit batch-norm`."""

from __future__ import annotations

import dataclasses

import tyro

from tl_toolkit.cli.tables import print_json
from tl_toolkit.cli.terminal import drawn, terminal


def batch_norm(
    run: tyro.conf.Positional[str],
    data: tyro.conf.Positional[str],
    images: int = 1024,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Measures how far batch normalisation's statistics in a trained network are from those of images.

    Each layer's input is taken as it is in evaluation. The table has a row for each layer; the text below says what is
    wrong, why, and what helps. The run is not changed.

    Args:
        run: A finished run's folder, or a .keras file of this toolkit.
        data: Where the images are, such as folder:photos; see `tl-toolkit train --help`. Of these, the training
            images are taken.
        images: Most images to measure on.
        json: Print the figures as JSON.
        verbose: Show TensorFlow's own messages.
    """
    with terminal(verbose, beside_json=json) as progress:
        from tl_toolkit.experiments.batch_norm_report import batch_norm_report

        report = batch_norm_report(run, data, images=images, progress=progress)
        if json:
            print_json({**dataclasses.asdict(report), "summary": report.summary().splitlines()})
            return
        progress.console.print(drawn(report.table()))
        for line in report.summary().splitlines():
            progress.message(line)
