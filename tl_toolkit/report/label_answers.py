"""Answers of a classifier that gives a photo any number of labels, as `test_answers.csv` and `out_of_fold.csv` hold them."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_toolkit.errors import InputError
from tl_toolkit.files.manifest import check_file
from tl_toolkit.report.answers import ANSWER, CONTENTS, IMAGE, LABELS, PROBABILITY_OF
from tl_toolkit.report.label_thresholds import DEFAULT

TRUTH_OF, ANSWER_OF = "truth of ", "answer of "
BETWEEN = " | "  # labels in one field, to read


def label_columns(
    row: np.ndarray,
    is_given: np.ndarray | None,
    probabilities: np.ndarray,
    label_names: Sequence[str],
) -> dict[str, Any]:
    """Returns one photo's columns: its labels and those that it is given, in words; then label by label 0 and 1.

    Args:
        row: uint8[labels] of 0 and 1, what the photo has.
        is_given: bool[labels]; None: nothing is given, and there are no such columns.
        probabilities: float[labels].
        label_names: In the order of the columns.
    """
    said = {} if is_given is None else {ANSWER: _words(is_given, label_names)}
    of_answers = {} if is_given is None else _numbers(ANSWER_OF, is_given, label_names)
    return {
        LABELS: _words(row > 0, label_names),
        **said,
        **_numbers(TRUTH_OF, row > 0, label_names),
        **of_answers,
        **{
            f"{PROBABILITY_OF}{name}": f"{probability:.6f}"
            for name, probability in zip(label_names, probabilities, strict=True)
        },
    }


def _words(has: np.ndarray, label_names: Sequence[str]) -> str:
    return BETWEEN.join(name for name, is_one in zip(label_names, has, strict=True) if is_one)


def _numbers(prefix: str, has: np.ndarray, label_names: Sequence[str]) -> dict[str, int]:
    return {f"{prefix}{name}": int(one) for name, one in zip(label_names, has, strict=True)}


@dataclasses.dataclass(frozen=True, eq=False)
class LabelTable:
    """What a classifier said of photos with several labels.

    Attributes:
        images: Names of the photos: paths, or their numbers in the data set.
        label_names: In the order of the columns.
        has: bool[n, labels], what the photos have.
        is_given: bool[n, labels], what was answered; out of fold, what has probability 0.5 or more.
        probabilities: float64[n, labels].
        digests: Of the photos' contents; empty where the file has none.
    """

    images: tuple[str, ...]
    label_names: tuple[str, ...]
    has: np.ndarray
    is_given: np.ndarray
    probabilities: np.ndarray
    digests: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


def has_label_answers(path: pathlib.Path) -> bool:
    """Whether a table of answers is one of several labels a photo."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return LABELS in next(csv.reader(file), [])
    except (OSError, ValueError, csv.Error):
        return False  # reading it says what is wrong


def read_label_table(path: pathlib.Path) -> LabelTable:
    """Reads `test_answers.csv` of a finished run, or `out_of_fold.csv` of a cross-validation.

    Raises:
        InputError: It is missing, damaged, or not such a table.
    """
    check_file(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            columns = next(reader)
            rows = list(reader)
        image = columns.index(IMAGE)
        place = {name: number for number, name in enumerate(columns)}
        names = tuple(c.removeprefix(TRUTH_OF) for c in columns if c.startswith(TRUTH_OF))

        def floats(prefix: str) -> np.ndarray:
            of_labels = [place[f"{prefix}{name}"] for name in names]
            found = np.array([[row[k] for k in of_labels] for row in rows], np.float64)
            return found.reshape(len(rows), len(names))

        digests: tuple[str, ...] = ()
        if CONTENTS in columns:
            digests = tuple(row[place[CONTENTS]] for row in rows)
        probabilities = floats(PROBABILITY_OF)
        return LabelTable(
            images=tuple(row[image] for row in rows),
            label_names=names,
            has=floats(TRUTH_OF) > 0,
            is_given=floats(ANSWER_OF) > 0 if ANSWER in place else probabilities >= DEFAULT,
            probabilities=probabilities,
            digests=digests,
        )
    except (OSError, ValueError, LookupError, StopIteration, csv.Error) as error:
        raise InputError(
            f"{str(path)!r} cannot be read as a table of answers: {error}. Restore it from a copy, or train again."
        ) from error
