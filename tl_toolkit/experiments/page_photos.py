"""The photos behind a table of answers, found again in the data, for a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.answer_rows import image_name
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.label_answers import LabelTable
from tl_toolkit.report.page.label_photos import OfLabel, by_importance, choose_label_photos
from tl_toolkit.report.page.photo_choice import ChosenPhotos, choose_photos
from tl_toolkit.report.page.thumbnails import Thumbnails, make_thumbnails

WITHOUT = "This page was made without photos."
GONE = "The photos could not be read again, so this page has none"


@dataclasses.dataclass(frozen=True)
class PagePhotos:
    """What a page shows of photos.

    Attributes:
        thumbnails: Of the chosen ones.
        chosen: Which they are; None where there are no answers.
        missing: Why there are none at all; empty: there are.
        split: Where they are; None where there are none.
        labels: Of answers with several labels, which photos are shown of each; empty of one class.
    """

    thumbnails: Thumbnails = dataclasses.field(default_factory=Thumbnails)
    chosen: ChosenPhotos | None = None
    missing: str = ""
    split: Split | None = None
    labels: tuple[OfLabel, ...] = ()


def page_photos(
    table: AnswerTable | None,
    recipe: Recipe,
    dataset: ImageDataset | None,
    *,
    of: Callable[[ImageDataset], Split],
    photos: bool,
    progress: Progress = SILENT,
) -> PagePhotos:
    """Chooses photos and makes their thumbnails, from the data as they are now.

    Args:
        table: Answers to images of the data set; None: there are none.
        recipe: Says where the data are.
        dataset: The opened data; None: they are opened here.
        of: The images of the data set that the answers are about.
        photos: Whether the page has photos at all.
        progress: Shows what is done.

    Returns:
        What the page shows; where the data are gone, why there are no photos.
    """
    if table is None or not len(table):
        return PagePhotos()
    chosen = choose_photos(table)
    if not photos:
        return PagePhotos(chosen=chosen, missing=WITHOUT)
    try:
        split = of(dataset or open_recipe_data(recipe, progress))
    except (InputError, OSError) as error:
        return PagePhotos(chosen=chosen, missing=f"{GONE}: {error}")
    thumbnails = thumbnails_of(table, split, chosen.by_importance())
    return PagePhotos(thumbnails, chosen, split=split)


def label_page_photos(
    table: LabelTable | None,
    recipe: Recipe,
    dataset: ImageDataset | None,
    *,
    of: Callable[[ImageDataset], Split],
    photos: bool,
    progress: Progress = SILENT,
) -> PagePhotos:
    """As `page_photos`, of images that may have several labels."""
    if table is None:
        return PagePhotos()
    chosen = choose_label_photos(table)
    if not photos:
        return PagePhotos(labels=chosen, missing=WITHOUT)
    try:
        split = of(dataset or open_recipe_data(recipe, progress))
    except (InputError, OSError) as error:
        return PagePhotos(labels=chosen, missing=f"{GONE}: {error}")
    thumbnails = thumbnails_of(table, split, by_importance(chosen))
    return PagePhotos(thumbnails, labels=chosen, split=split)


def test_images(dataset: ImageDataset) -> Split:
    """Returns the images that a run's answers are about."""
    return dataset.test


def images_but_tests(dataset: ImageDataset) -> Split:
    """Returns the images that a cross-validation's answers are about."""
    train, validation = dataset.train, dataset.validation
    return train if validation is None else train.joined(validation)


def thumbnails_of(
    table: AnswerTable | LabelTable, split: Split, positions: Sequence[int]
) -> Thumbnails:
    """Returns thumbnails of photos in a table of answers, named by their positions there.

    A photo is found by its name; where the table has digests, it has to be the same photo as then.

    Args:
        table: The answers.
        split: Where the photos are.
        positions: Of photos in the table, the most important ones first.
    """
    place_of = {str(image_name(split, place)): place for place in range(len(split))}
    there = [position for position in positions if table.images[position] in place_of]
    images = split.take([place_of[table.images[position]] for position in there])
    same = np.ones(len(there), bool)
    if table.digests:
        same = _digests(images) == np.array([table.digests[position] for position in there], str)
    made = make_thumbnails(images.images, range(len(there)), lambda row: bool(same[row]))
    found = set(there)
    gone = tuple(position for position in positions if position not in found)
    return Thumbnails(
        {there[row]: text for row, text in made.of.items()},
        made.left_out,
        (*(there[row] for row in made.unreadable), *gone),
    )


def _digests(split: Split) -> np.ndarray:
    """str[n], digests of images; of one that cannot be read, nothing."""
    try:
        return content_digests(split)
    except OSError:
        digests = []
        for index in range(len(split)):
            try:
                digests.append(str(content_digests(split.take([index]))[0]))
            except OSError:
                digests.append("")
        return np.array(digests, str)
