"""Several finished runs side by side: paired tests, and the photos on which they differ."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Sequence

import numpy as np

from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.page_photos import GONE, WITHOUT, test_images, thumbnails_of
from tl_toolkit.experiments.paired_runs import keys_of, paired_test
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.label_metrics import are_of_labels
from tl_toolkit.report.page.run_files import RunFiles, read_run_files
from tl_toolkit.report.page.runs_page import (
    MOST_RUNS,
    NamedRun,
    Pair,
    differing_photos,
    runs_page,
)
from tl_toolkit.report.page.thumbnails import Thumbnails


def several_runs_page(
    folders: Sequence[pathlib.Path], *, photos: bool = True, progress: Progress = SILENT
) -> str:
    """Returns the page of several runs as HTML.

    Args:
        folders: Of finished runs.
        photos: Whether photos are shown.
        progress: Shows what is done.

    Raises:
        InputError: One is no finished run, or a file in it is damaged; or they are too many.
    """
    if len(folders) > MOST_RUNS:
        raise InputError(f"A page has room for {MOST_RUNS} runs. Received: {len(folders)}")
    runs = [NamedRun(str(folder), read_run_files(folder)) for folder in folders]
    if any(are_of_labels(run.files.metrics["test"]) for run in runs):
        raise InputError(
            "The page of several runs is for photos of one class, and these have several labels: compare two runs with "
            "tl.paired_test, or look at their own pages."
        )
    pairs = [_pair(runs, a, b) for a, b in itertools.combinations(range(len(runs)), 2)]
    first = runs[0].files
    if first.answers is None:
        return runs_page(runs, pairs, None, (), Thumbnails())
    is_right = [first.answers.is_right]
    is_right += [
        _is_right_as(first.answers, runs[pair.b].files)
        for pair in pairs
        if pair.a == 0 and pair.test
    ]
    differing = [int(position) for position in differing_photos(is_right)]
    thumbnails, missing = Thumbnails(), ""
    if not photos:
        missing = WITHOUT
    elif differing:
        try:
            dataset = open_recipe_data(Recipe.from_json(first.recipe), progress)
            thumbnails = thumbnails_of(first.answers, test_images(dataset), differing)
        except (InputError, OSError) as error:
            missing = f"{GONE}: {error}"
    return runs_page(runs, pairs, first.answers, differing, thumbnails, missing)


def _pair(runs: Sequence[NamedRun], a: int, b: int) -> Pair:
    try:
        return Pair(a, b, paired_test(runs[a].files.folder, runs[b].files.folder))
    except InputError as error:
        return Pair(a, b, None, str(error))


def _is_right_as(table: AnswerTable, files: RunFiles) -> np.ndarray:
    """bool[n], whether another run has the photos of a table right, in the table's order."""
    answers = files.answers
    assert answers is not None  # the two were compared
    place_of = {key: place for place, key in enumerate(keys_of(answers.digests))}
    return answers.is_right[[place_of[key] for key in keys_of(table.digests)]]
