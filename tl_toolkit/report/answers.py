"""A classifier's answers to labelled images, a row an image, as `test_answers.csv` holds them. No TensorFlow."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from tl_toolkit.errors import InputError
from tl_toolkit.files.atomic import written_aside
from tl_toolkit.files.manifest import check_file

TEST_ANSWERS = "test_answers.csv"
IMAGE, CLASS, ANSWER, CONTENTS = "image", "class", "answer", "digest of the image"
LABELS = "labels"  # in place of the class, where a photo may have several
PROBABILITY_OF = "probability of "


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a run's `test_answers.csv` says, without the probabilities.

    Attributes:
        images: Names of the images.
        digests: Of their contents, by which they are recognised under any name.
        classes: Their true classes; of several labels a photo, all of them in one text.
        answers: The class that was said of each; likewise.
    """

    images: tuple[str, ...]
    digests: tuple[str, ...]
    classes: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def is_right(self) -> np.ndarray:
        """bool[n]."""
        pairs = zip(self.classes, self.answers, strict=True)
        return np.array([true == said for true, said in pairs], bool)


def probability_columns(logits: np.ndarray, class_names: Sequence[str]) -> list[dict[str, str]]:
    """Returns, for each row of logits, the classes' probabilities by column of a table."""
    return [
        {
            f"{PROBABILITY_OF}{name}": f"{probability:.6f}"
            for name, probability in zip(class_names, row, strict=True)
        }
        for row in softmax(logits.astype(np.float64), axis=1)
    ]


def write_rows(rows: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Writes rows of the same columns as a CSV file, whole."""
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_answers(folder: pathlib.Path) -> Answers:
    """Reads `test_answers.csv` of a finished run.

    Raises:
        InputError: There is none, it is damaged, or it is not such a table.
    """
    path = folder / TEST_ANSWERS
    check_file(path, folder)
    if not path.is_file():
        raise InputError(
            f"{str(folder)!r} has no {TEST_ANSWERS}. Expected a finished run's folder; of a comparison the folder "
            "'best' in it. Runs of earlier versions left no such file: train again."
        )
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        truth = LABELS if rows and LABELS in rows[0] else CLASS
        columns = ([row[name] for row in rows] for name in (IMAGE, CONTENTS, truth, ANSWER))
        return Answers(*map(tuple, columns))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(
            f"{str(path)!r} cannot be read: {error}. Restore it from a copy, or train again."
        ) from error
