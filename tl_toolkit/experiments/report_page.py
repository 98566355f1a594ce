"""`report_page`: makes the page of what is finished, whenever it is asked for."""

from __future__ import annotations

import os
import pathlib

from tl_toolkit.data.file_names import user_path
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.run_folder import list_written_again
from tl_toolkit.experiments.several_runs import several_runs_page
from tl_toolkit.experiments.write_pages import (
    run_pictures,
    write_comparison_page,
    write_folds_page,
    write_run_page,
    write_search_page,
)
from tl_toolkit.experiments.written_files import PAGE
from tl_toolkit.files.atomic import write_text
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.report.page.shell import is_page_of_ours

Place = str | os.PathLike[str]
# What each kind of output has, and no other one.
RUN, COMPARISON, FOLDS, SEARCH = (
    "metrics.json",
    "comparison.json",
    "cross_validation.json",
    "trials.csv",
)


def report_page(
    *folders: Place,
    output: Place | None = None,
    overwrite: bool = False,
    photos: bool = True,
    audit: Place | None = None,
    progress: Progress = SILENT,
) -> pathlib.Path:
    """Makes the page of a finished run, comparison, cross-validation or search, or one of several runs together.

    Photos are read where the recipe says that they are; where they are gone, or not what they were, the page says so.

    Args:
        folders: One finished output, or several runs.
        output: The HTML file; None: `report.html` in the folder, or of several runs in the current folder.
        overwrite: Replace a page elsewhere than in the finished folder; nothing but a page of this toolkit is replaced.
        photos: Whether photos are shown.
        audit: An `audit.json`, whose findings a run's page shows; None: the one in the run's folder, if there is one.
        progress: Shows what is done.

    Returns:
        The page.

    Raises:
        InputError: A folder is no finished output, a file in it is damaged, or the page cannot be written.

    Examples:
        >>> tl.report_page("my_run")
        PosixPath('my_run/report.html')
    """
    places = [user_path(os.fspath(folder)) for folder in folders]
    if not places:
        raise InputError("Name at least one finished run.")
    kinds = [_kind(place) for place in places]
    page = user_path(os.fspath(output)) if output is not None else None
    audit_file = user_path(os.fspath(audit)) if audit is not None else None
    if len(places) > 1:
        if any(kind != RUN for kind in kinds):
            other = next(place for place, kind in zip(places, kinds, strict=True) if kind != RUN)
            raise InputError(
                f"Only runs stand together on a page, and {str(other)!r} is none: name it alone."
            )
        target = page or pathlib.Path(PAGE)
        _check_target(target, overwrite)
        _write(target, several_runs_page(places, photos=photos, progress=progress))
        return target
    (folder,), (kind,) = places, kinds
    if audit_file is not None and kind != RUN:
        raise InputError(f"An audit is shown on a run's page, and {str(folder)!r} is none.")
    target = page or folder / PAGE
    _check_target(target, overwrite or page is None)
    name = str(folder)
    try:
        if kind == RUN:
            pictures = run_pictures(folder, photos=photos, progress=progress)
            write_run_page(folder, name, pictures, audit=audit_file, to=target)
        elif kind == FOLDS:
            write_folds_page(folder, name, photos=photos, progress=progress, to=target)
        elif kind == SEARCH:
            write_search_page(folder, name, target)
        else:
            write_comparison_page(folder, name, target)
        for part in _parts(folder, kind) if page is None else ():
            report_page(part, photos=photos, progress=progress)
        if page is None:
            list_written_again(folder, PAGE)
    except OSError as error:
        raise _not_written(target, error) from error
    return target


def _parts(folder: pathlib.Path, kind: str) -> list[pathlib.Path]:
    """Returns the runs in a folder that its page leads to."""
    if kind == COMPARISON:
        return [folder / "best"]
    return sorted((folder / "retrained").glob("seed_*")) if kind == SEARCH else []


def _kind(folder: pathlib.Path) -> str:
    for kind in (COMPARISON, FOLDS, SEARCH, RUN):
        if (folder / kind).is_file():
            return kind
    raise InputError(
        f"{str(folder)!r} is no finished run, comparison, cross-validation or search. Expected a folder with {RUN}, "
        f"{COMPARISON}, {FOLDS} or {SEARCH}."
    )


def _check_target(page: pathlib.Path, overwrite: bool) -> None:
    if not (page.exists() or page.is_symlink()):
        return
    if not page.is_file() or not is_page_of_ours(page):
        raise InputError(
            f"{str(page)!r} exists and was not made by this toolkit: choose another file with output."
        )
    if not overwrite:
        raise InputError(
            f"{str(page)!r} exists. Choose another file with output, or replace it with overwrite (on the command line "
            "--overwrite)."
        )


def _write(page: pathlib.Path, text: str) -> None:
    try:
        write_text(page, text)
    except OSError as error:
        raise _not_written(page, error) from error


def _not_written(page: pathlib.Path, error: OSError) -> InputError:
    return InputError(
        f"{str(page)!r} cannot be written: {error.strerror}. Choose another file with output (on the command line --output)."
    )
