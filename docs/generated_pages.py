"""A hook of MkDocs: writes the help of every command into the page of the command line."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import Any
from unittest import mock

from tl_toolkit.cli.app import main

PLACE = "<!-- commands -->"
COLUMNS = "88"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Returns a page's Markdown, with the commands' help in its place."""
    return markdown.replace(PLACE, commands_help()) if PLACE in markdown else markdown


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
