"""A sheet of what the network sees in training, as a PNG file."""

from __future__ import annotations

import pathlib
import textwrap
from typing import Any

from matplotlib.figure import Figure

from tl_toolkit.report.plots import DOTS_PER_INCH
from tl_toolkit.report.run_plots import ContactSheet

CELL, GAP = 1.15, 0.06  # inches
LINE, LETTER = 0.13, 0.085  # inches of a line of text, and of a letter at the left
LONGEST_LINE, MOST_LINES = 18, 4  # letters and lines of a name at the left
LONGEST_IN_CAPTION = 14  # letters


def plot_contact_sheet(sheet: ContactSheet, path: pathlib.Path) -> None:
    """Draws images in rows, with the names of their classes at the left."""
    rows, column_names, title = sheet.rows, sheet.column_names, sheet.title
    names = [_wrapped(row.name) for row in rows]
    lines = max(len(caption) for row in rows for caption in row.captions)
    step_x, step_y = CELL + GAP, CELL + GAP + lines * LINE
    letters = max(len(line) for name in names for line in name.split("\n"))
    left, top = letters * LETTER + 2 * GAP, 2 * LINE + 2 * GAP
    width, height = left + len(column_names) * step_x, top + len(rows) * step_y
    # One axes for all, in inches from the top left: one for each image would take seconds.
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    text: dict[str, Any] = {"parse_math": False}  # a class may be called "$"
    for column, name in enumerate(column_names):
        x = left + column * step_x + CELL / 2
        axes.text(x, top - GAP, name, ha="center", va="bottom", fontsize=8, **text)
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        y = top + number * step_y
        axes.text(left - 2 * GAP, y + CELL / 2, name, ha="right", va="center", fontsize=9, **text)
        for column, (image, caption) in enumerate(zip(row.images, row.captions, strict=True)):
            x = left + column * step_x
            axes.imshow(image, extent=(x, x + CELL, y + CELL, y))
            said = "\n".join(f"{share:.0%} {_shortened(name)}" for share, name in caption)
            axes.text(x, y + CELL + GAP / 2, said, ha="left", va="top", fontsize=6.5, **text)
    axes.text(0, 0, title, ha="left", va="top", fontsize=10, **text)
    axes.set(xlim=(0, width), ylim=(height, 0))
    # Photos hardly compress: more effort makes the file a tenth smaller.
    figure.savefig(
        path,
        dpi=DOTS_PER_INCH,
        bbox_inches="tight",
        pad_inches=0.1,
        pil_kwargs={"compress_level": 1},
    )


def _wrapped(name: str) -> str:
    lines = textwrap.wrap(name, LONGEST_LINE, max_lines=MOST_LINES, placeholder=" …")
    return "\n".join(lines) or "…"


def _shortened(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= LONGEST_IN_CAPTION else f"{line[: LONGEST_IN_CAPTION - 1]}…"
