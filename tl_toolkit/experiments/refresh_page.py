"""The page of a finished run, written again where something has joined the run."""

from __future__ import annotations

import pathlib

import keras

from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.experiments.page_photos import WITHOUT
from tl_toolkit.experiments.run_folder import list_written_again
from tl_toolkit.experiments.write_pages import run_pictures, write_run_page
from tl_toolkit.experiments.written_files import PAGE
from tl_toolkit.report.page.audit_section import AUDIT
from tl_toolkit.report.page.shell import is_page_of_ours


def refresh_page(folder: pathlib.Path, *, dataset: ImageDataset, model: keras.Model) -> bool:
    """Writes a run's page again, with photos if it had any, and lists it in the manifest.

    A page that is gone, or not of this toolkit, or that shows an audit whose file lies elsewhere, is left as it is.

    Args:
        folder: Of the run.
        dataset: Its data, opened.
        model: Its network.

    Returns:
        Whether it was written.
    """
    page = folder / PAGE
    if page.is_symlink() or not page.is_file() or not is_page_of_ours(page):
        return False
    text = page.read_text("utf-8", "replace")
    if 'id="audit"' in text and not (folder / AUDIT).is_file():
        return False
    pictures = run_pictures(folder, dataset=dataset, photos=WITHOUT not in text, model=model)
    write_run_page(folder, str(folder), pictures)
    list_written_again(folder, PAGE)
    return True
