"""A finished result as a notebook shows it: figures in a table and small plots, in HTML that needs nothing else.

It takes its colours from the notebook, light or dark; plots have a white ground of their own.
"""

from __future__ import annotations

import base64
import pathlib
from collections.abc import Sequence

from markupsafe import Markup

from tl_toolkit.progress import Table

CELL = "padding:2px 10px;border-bottom:1px solid rgba(128,128,128,.4);color:inherit;"
PLOT_PIXELS = 320  # of a plot's width


def notebook_html(
    title: str,
    tables: Sequence[Table],
    lines: Sequence[str] = (),
    plots: Sequence[pathlib.Path] = (),
) -> str:
    """Returns what a `_repr_html_` gives.

    Args:
        title: A line above.
        tables: Text, of which all is escaped.
        lines: Below the tables.
        plots: PNG files, which are put into the text; one that is gone is left out.
    """
    parts = [Markup("<p><b>{}</b></p>").format(title)]
    parts += [_table(table) for table in tables]
    parts += [Markup('<p style="margin:4px 0">{}</p>').format(line) for line in lines if line]
    parts += [_plot(plot) for plot in plots if plot.is_file()]
    return Markup('<div class="tl-toolkit" style="color:inherit">{}</div>').format(
        Markup("").join(parts)
    )


def _table(table: Table) -> Markup:
    head = Markup("").join(_cell("th", text) for text in table.columns)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(_cell("td", text) for text in row))
        for row in table.rows
    )
    return Markup(
        '<table style="border-collapse:collapse;color:inherit;background:transparent">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table>"
    ).format(head, body)


def _cell(tag: str, text: str) -> Markup:
    is_number = text[:1].isdigit() or text[:1] in ("+", "-", "–")
    side = "right" if is_number else "left"
    return Markup('<{0} style="{1}text-align:{2}">{3}</{0}>').format(Markup(tag), CELL, side, text)


def _plot(path: pathlib.Path) -> Markup:
    contents = base64.b64encode(path.read_bytes()).decode()
    name = path.stem.replace("_", " ")
    return Markup(
        '<img alt="{}" src="data:image/png;base64,{}" '
        'style="width:{}px;max-width:100%;background:#fff;margin:6px 6px 0 0">'
    ).format(name, contents, PLOT_PIXELS)
