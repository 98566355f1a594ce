"""What a model says of labelled images, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import FileImages, Split
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.labels import are_several, probabilities_of
from tl_toolkit.report.answers import ANSWER, CLASS, CONTENTS, IMAGE, probability_columns
from tl_toolkit.report.label_answers import label_columns


def answer_rows(
    split: Split,
    logits: np.ndarray,
    class_names: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """Returns a row an image: its name, true class, the class said, all probabilities, and its digest.

    Args:
        split: The images.
        logits: float[n, classes], as served.
        class_names: In the order of the labels.
        thresholds: Of several labels an image: from which probability on each is given.
    """
    if are_several(split.labels):
        return _label_rows(split, logits, class_names, thresholds)
    said = logits.argmax(axis=1)
    probabilities = probability_columns(logits, class_names)
    digests = content_digests(split)
    return [
        {
            IMAGE: image_name(split, index),
            CLASS: class_names[split.labels[index]],
            ANSWER: class_names[said[index]],
            **probabilities[index],
            CONTENTS: str(digests[index]),
        }
        for index in range(len(split))
    ]


def _label_rows(
    split: Split,
    logits: np.ndarray,
    label_names: Sequence[str],
    thresholds: Sequence[float] | None,
    folds: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """As `answer_rows`, of images with several labels; of folds as `out_of_fold_rows`."""
    probabilities = probabilities_of(logits, several=True)
    is_given = None if thresholds is None else probabilities >= np.asarray(thresholds)
    digests = content_digests(split) if folds is None else ()
    return [
        {
            IMAGE: image_name(split, index),
            **({} if folds is None else {"fold": int(folds[index])}),
            **label_columns(
                split.labels[index],
                None if is_given is None else is_given[index],
                probabilities[index],
                label_names,
            ),
            **({CONTENTS: str(digests[index])} if folds is None else {}),
        }
        for index in range(len(split))
    ]


def image_name(split: Split, index: int) -> str | int:
    """Returns an image's path as text, or its number in the data set where it has none."""
    images = split.images
    if isinstance(images, FileImages):
        return printable(images.paths[index])
    return int(split.ids[index])


def out_of_fold_rows(
    split: Split, folds: np.ndarray, logits: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns a row a training image: its class, its fold, and its probabilities by a head that never saw it.

    Args:
        split: The images.
        folds: int64[n], of each.
        logits: float[n, classes], by the head of the other folds.
        class_names: In the order of the labels.
    """
    if are_several(split.labels):
        return _label_rows(split, logits, class_names, None, folds)
    probabilities = probability_columns(logits, class_names)
    return [
        {
            IMAGE: image_name(split, index),
            CLASS: class_names[split.labels[index]],
            "fold": int(folds[index]),
            **probabilities[index],
        }
        for index in range(len(split))
    ]
