"""`tl-toolkit report`."""

from __future__ import annotations

import pathlib

import tyro

from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.open_page import open_page
from tl_toolkit.cli.terminal import terminal


def report(
    runs: tyro.conf.Positional[tuple[str, ...]],
    output: Maybe[pathlib.Path] = None,
    overwrite: bool = False,
    photos: bool = True,
    audit: Maybe[pathlib.Path] = None,
    open: bool = False,
    verbose: bool = False,
) -> None:
    """Makes the page of a finished run, comparison, cross-validation or search, or of several runs together.

    Several runs that were tested on the same photos are compared by paired tests.

    Args:
        runs: A finished folder, or the folders of several runs.
        output: The HTML file. Default: report.html in the folder; of several runs, in the current folder.
        overwrite: Replace a page of that name elsewhere than in the finished folder.
        photos: Show photos in the page.
        audit: An audit.json whose findings the page shows. Default: the one in the run's folder, if there is one.
        open: Open the page in the browser.
        verbose: Show TensorFlow's own messages.
    """
    with terminal(verbose) as progress:
        from tl_toolkit.experiments.report_page import report_page

        page = report_page(
            *runs, output=output, overwrite=overwrite, photos=photos, audit=audit, progress=progress
        )
        progress.message(f"The page: {page}")
        if open:
            open_page(page, progress)
