"""A page of a classifier's answers to a folder of photos, the most doubtful first."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import tensorflow as tf

from tl_toolkit.data.dataset import FileImages
from tl_toolkit.data.decode import decode_image
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.explain import Explainer
from tl_toolkit.export.asked_images import contents_of
from tl_toolkit.export.classifier import Classifier
from tl_toolkit.export.file_answers import FileAnswer
from tl_toolkit.export.predictions import LabelPrediction, Prediction, answer_in_words
from tl_toolkit.files.atomic import write_text
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.report.heat_maps import small_overlay
from tl_toolkit.report.page.shell import render_page
from tl_toolkit.report.page.thumbnails import in_base64, make_thumbnails, webp

EXPLAINED = 24  # answers, the most doubtful ones
CLASSES_SHOWN = 3
SIDE = 224  # pixels of a heat map's longer side


@dataclasses.dataclass(frozen=True)
class AnswerRow:
    """What the page shows of one photo.

    Attributes:
        name: Of the file.
        answer: The class that is said.
        classes: The most probable ones, with their probabilities.
        is_unsure: Whether the answer is held back.
        thumbnail: WebP in base64; empty: there is none.
        explained: What the heat map speaks for.
        heat_map: Likewise.
    """

    name: str
    answer: str
    classes: tuple[tuple[str, float], ...]
    is_unsure: bool
    thumbnail: str
    heat_map: str
    explained: str = ""


def check_answers_page(path: pathlib.Path) -> None:
    """Raises `InputError` where there is a file already, or its folder is not there."""
    if path.exists() or path.is_symlink():
        raise InputError(f"{str(path)!r} is there already, and is not overwritten.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {str(path.parent)!r} is not there.")


def write_answers_page(
    path: pathlib.Path,
    model: str,
    classifier: Classifier,
    answers: Sequence[FileAnswer],
    unsure_below: float | None = None,
    progress: Progress = SILENT,
) -> None:
    """Writes one HTML file with thumbnails of the photos and heat maps of the 24 most doubtful ones.

    Args:
        path: The file; `check_answers_page` has looked at it.
        model: What was asked, as the user named it.
        classifier: The same.
        answers: What it said.
        unsure_below: Probability below which answers are marked as unsure; None: none is.
        progress: Shows what is done.
    """
    given = sorted(
        (answer for answer in answers if answer.prediction is not None),
        key=lambda answer: _sureness(answer.prediction),
    )
    paths = PathColumn.of(answer.path for answer in given)
    images = FileImages(paths, classifier.value_range)
    with progress.stage("Making thumbnails"):
        thumbnails = make_thumbnails(images, range(len(given)), lambda _: True)
    maps, why_not = _heat_maps(classifier, given[:EXPLAINED], progress)
    left_out = thumbnails.left_out + len(thumbnails.unreadable)
    missing = f"{left_out} photos are named without their picture." if left_out else ""
    rows = []
    for position, answer in enumerate(given):
        prediction = answer.prediction
        if prediction is None:
            continue
        classes = tuple(prediction.probabilities.items())[:CLASSES_SHOWN]
        is_unsure = unsure_below is not None and prediction.score < unsure_below
        pictures = thumbnails.of.get(position, ""), maps.get(position, "")
        name = printable(answer.path)
        rows.append(
            AnswerRow(
                name,
                answer_in_words(prediction),
                classes,
                is_unsure,
                *pictures,
                explained=prediction.class_name,
            )
        )
    page = render_page(
        "answers.html.j2",
        f"{model}: answers",
        about=_about(classifier),
        is_compared=classifier.thresholds is None,
        rows=rows,
        unsure=sum(row.is_unsure for row in rows),
        explained=bool(maps),
        missing=" ".join(filter(None, (missing, why_not))),
        faults=[(printable(a.path), a.fault) for a in answers if a.prediction is None],
    )
    write_text(path, page)


def _sureness(prediction: Prediction | None) -> float:
    """How sure an answer is: its probability; of any number of labels, the least distance of one from its threshold."""
    if isinstance(prediction, LabelPrediction):
        pairs = prediction.probabilities.items()
        return min(abs(value - prediction.thresholds[name]) for name, value in pairs)
    return prediction.score if prediction is not None else 0.0


def _about(classifier: Classifier) -> str:
    shown = min(CLASSES_SHOWN, len(classifier.class_names))
    if classifier.thresholds is None:
        return f"Each with its {shown} most probable classes."
    return (
        f"Each with the labels that it is given, and its {shown} most probable ones; first those with a label that is nearest to "
        "its threshold."
    )


def _heat_maps(
    classifier: Classifier, answers: Sequence[FileAnswer], progress: Progress
) -> tuple[dict[int, str], str]:
    """Returns WebP files in base64 by position, and why there are none."""
    try:
        explainer = Explainer(classifier)
    except InputError as error:
        return {}, f"No heat maps: {error}"
    maps = {}
    with progress.stage("Explaining", total=len(answers)) as stage:
        for position, answer in enumerate(answers):
            if answer.prediction is not None:
                photo = contents_of(answer.path, value_range=classifier.value_range)
                heat_map = explainer.explain(photo, answer.prediction.class_name)
                pixels = decode_image(tf.constant(photo)).numpy()
                maps[position] = in_base64(webp(small_overlay(pixels, heat_map, SIDE)))
            stage.advance()
    return maps, ""
