"""`report.html` of a run, a comparison, a cross-validation or a search, made of what its folder holds."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import keras

from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.page_heat_maps import page_heat_maps
from tl_toolkit.experiments.page_photos import (
    PagePhotos,
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
from tl_toolkit.report.label_answers import read_label_table
from tl_toolkit.report.label_metrics import are_of_labels
from tl_toolkit.report.page.answer_sections import HeatMaps
from tl_toolkit.report.page.audit_section import AUDIT, AuditSection, read_audit
from tl_toolkit.report.page.comparison_page import comparison_page
from tl_toolkit.report.page.folds_page import folds_page, label_folds_page
from tl_toolkit.report.page.run_files import read_json, read_run_files, read_test_answers
from tl_toolkit.report.page.run_page import label_run_page, run_page
from tl_toolkit.report.page.search_page import search_page
from tl_toolkit.weights.run_folder import MODEL_FILE


@dataclasses.dataclass(frozen=True)
class RunPictures:
    """What the page of a run shows of photos.

    Attributes:
        photos: Thumbnails, and which photos they are of.
        heat_maps: Of some of them; None where there is no model to explain, or a photo may have several labels.
    """

    photos: PagePhotos
    heat_maps: HeatMaps | None = None


def run_pictures(
    folder: pathlib.Path,
    *,
    recipe: Recipe | None = None,
    dataset: ImageDataset | None = None,
    photos: bool = True,
    model: keras.Model | None = None,
    progress: Progress = SILENT,
) -> RunPictures:
    """Makes the pictures for the page of a run, of its answers and the photos as they are now.

    Args:
        folder: Where its answers are.
        recipe: Says where the photos are; None: the one in the folder.
        dataset: The opened data; None: opened as the recipe says, and without photos where that cannot be.
        photos: Whether photos are shown.
        model: The trained one, which explains some photos; None: it is loaded from the folder.
        progress: Shows what is done.

    Raises:
        InputError: A file of the run is missing or damaged.
    """
    recipe = recipe or _recipe(read_json(folder / "recipe.json"))
    answers, label_answers = read_test_answers(folder)
    if label_answers is not None:
        shown = label_page_photos(
            label_answers, recipe, dataset, of=test_images, photos=photos, progress=progress
        )
        return RunPictures(shown)
    found = page_photos(answers, recipe, dataset, of=test_images, photos=photos, progress=progress)
    if answers is None or found.chosen is None or found.split is None:
        return RunPictures(found)
    # What cannot be shown, or is another photo now, is not explained.
    explained = [p for p, _ in found.chosen.explained if p in found.thumbnails.of]
    if model is None and explained and (folder / MODEL_FILE).is_file():
        model = load_model(folder / MODEL_FILE)
    if model is None:
        return RunPictures(found)
    return RunPictures(found, page_heat_maps(model, answers, explained, found.split))


def write_run_page(
    folder: pathlib.Path,
    name: str,
    pictures: RunPictures,
    *,
    audit: pathlib.Path | None = None,
    to: pathlib.Path | None = None,
) -> None:
    """Writes the page of a run.

    Args:
        folder: Where its files are.
        name: The folder's name, as the user knows it.
        pictures: Of `run_pictures`.
        audit: An `audit.json`; None: the one in the folder, if there is one.
        to: The file; None: `report.html` in the folder.

    Raises:
        InputError: A file of the run is missing or damaged, or the audit's is no audit.
    """
    files, shown, section = read_run_files(folder), pictures.photos, _audit(folder, audit)
    if are_of_labels(files.metrics["test"]):
        page = label_run_page(
            files,
            name,
            shown.thumbnails,
            chosen=shown.labels,
            missing=shown.missing,
            audit=section,
        )
    else:
        page = run_page(
            files,
            name,
            shown.thumbnails,
            chosen=shown.chosen,
            missing=shown.missing,
            heat_maps=pictures.heat_maps,
            audit=section,
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
    """Writes the page of a cross-validation; the arguments are those of `run_pictures` and `write_run_page`."""
    values, recipe = (read_json(folder / name) for name in ("cross_validation.json", "recipe.json"))
    answers, of = folder / "out_of_fold.csv", images_but_tests
    if are_of_labels(values["pooled"]):
        labels = read_label_table(answers)
        found = label_page_photos(
            labels, _recipe(recipe), dataset, of=of, photos=photos, progress=progress
        )
        page = label_folds_page(
            values, recipe, labels, name, found.thumbnails, found.labels, found.missing
        )
    else:
        table = read_answer_table(answers)
        found = page_photos(
            table, _recipe(recipe), dataset, of=of, photos=photos, progress=progress
        )
        page = folds_page(
            values, recipe, table, name, found.thumbnails, found.chosen, found.missing
        )
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
