"""Opening a page in the user's browser."""

from __future__ import annotations

import pathlib
import webbrowser

from tl_toolkit.progress import Progress


def open_page(page: pathlib.Path, progress: Progress) -> None:
    """Opens a page; where there is no browser, as on a server, it says what to open."""
    try:
        is_open = webbrowser.open(page.resolve().as_uri())
    except webbrowser.Error:
        is_open = False
    if not is_open:
        progress.message(
            f"There is no browser here to open it with: copy {page} to where there is one."
        )
