"""`report.html` of a run, a comparison, a cross-validation or a search, made of what its folder holds."""

from __future__ import annotations

import csv
import pathlib

import keras

from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.page_heat_maps import page_heat_maps
from tl_toolkit.experiments.page_photos import (
    images_but_tests,
    label_page_photos,
    page_photos,
    test_images,
)
from tl_toolkit.experiments.written_files import PAGE
from tl_toolkit.files.atomic import write_text
from tl_toolkit.files.manifest import check_file
from tl_toolkit.models.deep_graph import load_model
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.answer_table import read_answer_table
from tl_toolkit.report.label_metrics import are_of_labels
from tl_toolkit.report.page.audit_section import AUDIT, AuditSection, read_audit
from tl_toolkit.report.page.comparison_page import comparison_page
from tl_toolkit.report.page.folds_page import folds_page
from tl_toolkit.report.page.run_files import read_json, read_run_files
from tl_toolkit.report.page.run_page import label_run_page, run_page
from tl_toolkit.report.page.search_page import search_page
from tl_toolkit.weights.run_folder import MODEL_FILE


def write_run_page(
    folder: pathlib.Path,
    name: str,
    *,
    dataset: ImageDataset | None = None,
    photos: bool = True,
    model: keras.Model | None = None,
    audit: pathlib.Path | None = None,
    progress: Progress = SILENT,
    to: pathlib.Path | None = None,
) -> None:
    """Writes the page of a run.

    Args:
        folder: Where its files are.
        name: The folder's name, as the user knows it.
        dataset: The opened data; None: opened as the recipe says, and without photos where that cannot be.
        photos: Whether photos are shown.
        model: The trained one, which explains some photos; None: it is loaded from the folder.
        audit: An `audit.json`; None: the one in the folder, if there is one.
        progress: Shows what is done.
        to: The file; None: `report.html` in the folder.

    Raises:
        InputError: A file of the run is missing or damaged, or the audit's is no audit.
    """
    files = read_run_files(folder)
    if are_of_labels(files.metrics["test"]):
        shown = label_page_photos(
            files.label_answers, _recipe(files.recipe), dataset, photos=photos, progress=progress
        )
        section = _audit(folder, audit)
        page = label_run_page(
            files,
            name,
            shown.thumbnails,
            chosen=shown.labels,
            missing=shown.missing,
            audit=section,
        )
        write_text(to or folder / PAGE, page)
        return
    found = page_photos(
        files.answers,
        _recipe(files.recipe),
        dataset,
        of=test_images,
        photos=photos,
        progress=progress,
    )
    heat_maps = None
    if files.answers is not None and found.chosen is not None and found.split is not None:
        # What cannot be shown, or is another photo now, is not explained.
        explained = [p for p, _ in found.chosen.explained if p in found.thumbnails.of]
        if model is None and explained and (folder / MODEL_FILE).is_file():
            model = load_model(folder / MODEL_FILE)
        if model is not None:
            heat_maps = page_heat_maps(model, files.answers, explained, found.split)
    page = run_page(
        files,
        name,
        found.thumbnails,
        chosen=found.chosen,
        missing=found.missing,
        heat_maps=heat_maps,
        audit=_audit(folder, audit),
    )
    write_text(to or folder / PAGE, page)


def write_comparison_page(folder: pathlib.Path, name: str, to: pathlib.Path | None = None) -> None:
    """Writes the page of a comparison; the arguments are those of `write_run_page`."""
    results, best = read_json(folder / "comparison.json"), read_run_files(folder / "best")
    write_text(to or folder / PAGE, comparison_page(results, best, name))


def write_folds_page(
    folder: pathlib.Path,
    name: str,
    *,
    dataset: ImageDataset | None = None,
    photos: bool = True,
    progress: Progress = SILENT,
    to: pathlib.Path | None = None,
) -> None:
    """Writes the page of a cross-validation; the arguments are those of `write_run_page`."""
    values, recipe = (read_json(folder / name) for name in ("cross_validation.json", "recipe.json"))
    table = read_answer_table(folder / "out_of_fold.csv")
    found = page_photos(
        table, _recipe(recipe), dataset, of=images_but_tests, photos=photos, progress=progress
    )
    page = folds_page(values, recipe, table, name, found.thumbnails, found.chosen, found.missing)
    write_text(to or folder / PAGE, page)


def write_search_page(folder: pathlib.Path, name: str, to: pathlib.Path | None = None) -> None:
    """Writes the page of a search; the arguments are those of `write_run_page`."""
    path = folder / "trials.csv"
    check_file(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            trials = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}.") from error
    retrained = [
        (place.name, read_json(place / "metrics.json"))
        for place in sorted((folder / "retrained").glob("seed_*"))
    ]
    search, recipe = (read_json(folder / name) for name in ("search.json", "best_recipe.json"))
    write_text(to or folder / PAGE, search_page(trials, search, recipe, retrained, name))


def _audit(folder: pathlib.Path, given: pathlib.Path | None) -> AuditSection | None:
    if given is not None:
        return read_audit(given)
    return read_audit(folder / AUDIT) if (folder / AUDIT).is_file() else None


def _recipe(values: dict) -> Recipe:
    return Recipe.from_json(values)
