"""`tl-toolkit export`."""

from __future__ import annotations

import dataclasses
from typing import Literal

import tyro

from tl_toolkit.cli.tables import exports_table, print_json
from tl_toolkit.cli.terminal import drawn, terminal


def export(
    run: tyro.conf.Positional[str],
    to: Literal["savedmodel", "onnx", "litert", "litert-int8", "openvino", "all"] = "all",
    accept_changes: bool = False,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Writes a finished run's network in other formats, each checked against the SavedModel.

    The files go to exports/ in the run's folder, and what was measured to exports.json. A float32 file that differs by
    more than 1e-4 in a probability is not left there. tl-toolkit predict and evaluate take each file in place of the run.

    Args:
        run: A finished run's folder.
        to: The format. savedmodel writes nothing: it is there, and the others are compared with it.
        accept_changes: Leave an int8 file there that changes more than 1% of the answers.
        json: Print the figures as JSON.
        verbose: Show TensorFlow's own messages.
    """
    with terminal(verbose, beside_json=json) as progress:
        from tl_toolkit.experiments.export_run import export_run

        exports = export_run(run, to, accept_changes=accept_changes, progress=progress)
        if json:
            rows = {name: dataclasses.asdict(row) for name, row in exports.formats.items()}
            print_json({"compared_on": exports.compared_on, "formats": rows})
            return
        progress.console.print(drawn(exports_table(exports)))
        for row in exports.formats.values():
            progress.message(f"{row.format}: {', '.join(f'{run}/{file}' for file in row.files)}")
        others = [row for name, row in exports.formats.items() if name != "savedmodel"]
        if others:
            progress.message(f"tl-toolkit predict {run}/{others[0].files[0]} PHOTO.jpg")
