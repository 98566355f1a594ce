"""A hook of MkDocs: writes what the code itself says into the pages: the commands' help, and the picture of the layers."""

from __future__ import annotations

import contextlib
import html
import io
import os
import pathlib
import re
import sys
import tomllib
from typing import Any
from unittest import mock

from tl_toolkit.cli.app import main

COMMANDS, LAYERS = "<!-- commands -->", "<!-- layers -->"
COLUMNS = "88"
PYPROJECT = pathlib.Path(__file__).parents[1] / "pyproject.toml"
# What each layer is for, in a few words.
PURPOSES = {
    "cli": "the commands, and all terminal output",
    "tuning": "searches with keras-tuner",
    "web": "the local page of tl-toolkit try",
    "experiments": "run, compare, cross-validate: a file a step, and their folders",
    "export": "SavedModel, ONNX, LiteRT, OpenVINO, and what reads them",
    "report": "figures, tests, plots, pages",
    "training": "the step loop, optimizers, precision, checkpoints",
    "transfer": "the freeze plan, the cut, the feature cache, the probe",
    "weights": "from a name to a network, a converter a file",
    "data": "from a URI to batches, a source a file",
    "models": "ResNets, batch normalisation, preprocessing, folding",
    "devices": "one device, several, a cluster",
    "private_names": "every private name of other packages",
    "recipe": "every choice of a run, checked",
    "strategies": "what is trained, as data",
    "catalog": "networks, weights and augmentations, as data",
    "fields": "checks of dataclasses' fields",
    "files": "the cache folder, atomic writing, manifests",
    "progress": "how every layer reports what it does",
    "errors": "what a user can act on, with exit codes",
}
WIDTH, ROW, GAP = 880, 44, 8


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Returns a page's Markdown, with what is generated in its place."""
    for place, generate in ((COMMANDS, commands_help), (LAYERS, layers_drawing)):
        if place in markdown:
            markdown = markdown.replace(place, generate())
    return markdown


def layers_drawing() -> str:
    """Returns an SVG of the layers that import-linter holds, the highest on top, in the colours of the page's text."""
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if "layers" in contract)
    drawn = []
    for number, row in enumerate(rows):
        names, y = row.split(" | "), number * (ROW + GAP)
        width = (WIDTH - GAP * (len(names) - 1)) / len(names)
        for place, name in enumerate(names):
            x = place * (width + GAP)
            drawn.append(
                f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{ROW}" rx="5" fill="currentColor" '
                f'fill-opacity="0.07" stroke="currentColor" stroke-opacity="0.4"/>'
                f'<text x="{x + 12:.0f}" y="{y + 18}" font-weight="bold">{name}</text>'
                f'<text x="{x + 12:.0f}" y="{y + 35}" font-size="12">{html.escape(PURPOSES[name])}</text>'
            )
    height = len(rows) * (ROW + GAP) - GAP
    return (
        # Markdown leaves alone what stands in a block of HTML, and an SVG is none.
        f'<div><svg viewBox="-1 -1 {WIDTH + 2} {height + 2}" role="img" font-size="14" fill="currentColor" '
        'aria-label="The layers of the package, the highest on top; a module imports from its own or lower ones">'
        + "".join(drawn)
        + "</svg></div>"
    )


def commands_help() -> str:
    """Returns a section a command: what `--help` prints."""
    overview = _help()
    (names,) = re.findall(r"{([a-z,\s-]+)}", overview)
    sections = [f"```text\n{overview}```"]
    sections += [
        f"## {name}\n\n```text\n{_help(name)}```" for name in re.sub(r"\s", "", names).split(",")
    ]
    return "\n\n".join(sections)


def _help(*command: str) -> str:
    shown = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["tl-toolkit", *command, "--help"]),
        mock.patch.dict(os.environ, {"COLUMNS": COLUMNS}),
        contextlib.redirect_stdout(shown),
        contextlib.suppress(SystemExit),
    ):
        main()
    return "".join(line.rstrip() + "\n" for line in shown.getvalue().strip("\n").splitlines())
