"""What a model says of labelled images, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import FileImages, Split
from tl_toolkit.data.file_names import printable
from tl_toolkit.report.answers import ANSWER, CLASS, CONTENTS, IMAGE, probability_columns


def answer_rows(
    split: Split, logits: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns a row an image: its name, true class, the class said, all probabilities, and its digest.

    Args:
        split: The images.
        logits: float[n, classes], as served.
        class_names: In the order of the labels.
    """
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
