"""`tl-toolkit evaluate`."""

from __future__ import annotations

import tyro

from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.tables import held_back_in_words, label_table, print_json
from tl_toolkit.cli.terminal import drawn, terminal
from tl_toolkit.report.metrics_table import metrics_table


def evaluate(
    model: tyro.conf.Positional[str],
    data: tyro.conf.Positional[str],
    on_bad_image: str = "error",
    unsure_below: Maybe[float] = None,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Measures an exported classifier on labelled images.

    Images that it was trained or selected on are left out, wherever they are.

    Args:
        model: A finished run's folder, or the SavedModel in it.
        data: Where the images are, such as folder:photos; see `tl-toolkit train --help`. The classes must be among
            the model's.
        on_bad_image: What an unreadable image does: error stops the command, skip leaves it out and lists it.
        unsure_below: Say too how many answers are right if those with a lower probability than this, such as 0.8, are
            held back. Default: all are given.
        json: Print the metrics as JSON.
        verbose: Show TensorFlow's own messages.
    """
    with terminal(verbose, beside_json=json) as progress:
        from tl_toolkit.experiments.evaluate_exported import evaluate_exported

        metrics = evaluate_exported(model, data, on_bad_image, progress, unsure_below)
        if json:
            print_json(metrics)
            return
        progress.console.print(drawn(metrics_table(metrics)))
        if "labels" in metrics["images"]:
            progress.console.print(drawn(label_table(metrics["images"])))
        if unsure_below is not None:
            progress.message(held_back_in_words(metrics["images"]["unsure_below"]))
        for note in metrics["notes"]:
            progress.message(f"note: {note}")
