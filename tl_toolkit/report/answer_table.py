"""A classifier's answers with all their probabilities, as `test_answers.csv` and `out_of_fold.csv` hold them."""

from __future__ import annotations

import csv
import dataclasses
import functools
import pathlib

import numpy as np

from tl_toolkit.errors import InputError
from tl_toolkit.files.manifest import check_file
from tl_toolkit.report.answers import CLASS, CONTENTS, IMAGE, PROBABILITY_OF

SMALLEST = 1e-7  # what a probability of 0 in six decimals may have been


@dataclasses.dataclass(frozen=True, eq=False)
class AnswerTable:
    """What a classifier said of labelled images.

    Attributes:
        images: Names of the images: paths, or their numbers in the data set.
        class_names: In the order of the labels.
        labels: int64[n], the true classes.
        probabilities: float64[n, classes].
        digests: Of the images' contents; empty where the file has none.
    """

    images: tuple[str, ...]
    class_names: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    digests: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def said(self) -> np.ndarray:
        """int64[n], the most probable class."""
        return self.probabilities.argmax(axis=1)

    @functools.cached_property
    def is_right(self) -> np.ndarray:
        """bool[n]."""
        return self.said == self.labels

    @functools.cached_property
    def confidence(self) -> np.ndarray:
        """float64[n], probability of the class that is said."""
        return self.probabilities.max(axis=1)

    @functools.cached_property
    def of_truth(self) -> np.ndarray:
        """float64[n], probability of the true class."""
        return self.probabilities[np.arange(len(self)), self.labels]

    @functools.cached_property
    def margin(self) -> np.ndarray:
        """float64[n], how much more probable the class that is said is than the second one."""
        if self.probabilities.shape[1] < 2:
            return np.ones(len(self))
        highest = np.partition(self.probabilities, -2, axis=1)
        return highest[:, -1] - highest[:, -2]

    @property
    def log_probabilities(self) -> np.ndarray:
        """float64[n, classes], for what takes logits."""
        return np.log(np.maximum(self.probabilities, SMALLEST))


def read_answer_table(path: pathlib.Path) -> AnswerTable:
    """Reads `test_answers.csv` or `out_of_fold.csv` of a finished output.

    Raises:
        InputError: It is missing, damaged, or not such a table.
    """
    check_file(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            columns = next(reader)
            rows = list(reader)
        image, truth = columns.index(IMAGE), columns.index(CLASS)
        of_class = [n for n, name in enumerate(columns) if name.startswith(PROBABILITY_OF)]
        names = tuple(columns[n].removeprefix(PROBABILITY_OF) for n in of_class)
        number = {name: label for label, name in enumerate(names)}
        first, last = of_class[0], of_class[-1] + 1
        digests: tuple[str, ...] = ()
        if CONTENTS in columns:
            digests = tuple(row[columns.index(CONTENTS)] for row in rows)
        return AnswerTable(
            images=tuple(row[image] for row in rows),
            class_names=names,
            labels=np.array([number[row[truth]] for row in rows], np.int64),
            probabilities=np.array([row[first:last] for row in rows], np.float64),
            digests=digests,
        )
    except (OSError, ValueError, LookupError, StopIteration, csv.Error) as error:
        raise InputError(
            f"{str(path)!r} cannot be read as a table of answers: {error}. Restore it from a copy, or train again."
        ) from error
