"""Labels in their two forms: one class a photo, or any number of labels a photo.

One class is `int64[n]`, its number. Several labels are `uint8[n, labels]`, 1 where a photo has the label; a photo may
have none. Everything that depends on the form asks this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from tl_toolkit.errors import InputError
from tl_toolkit.recipe import Recipe


def as_labels(values: npt.ArrayLike) -> np.ndarray:
    """Returns labels in one of the two forms: int64[n], or uint8[n, labels] of rows of 0 and 1.

    Raises:
        InputError: Rows hold something else.
    """
    found = np.asarray(values)
    if found.ndim != 2:
        return np.asarray(values, np.int64)
    if not np.isin(found, (0, 1)).all():
        strange = found[~np.isin(found, (0, 1))].flat[0]
        raise InputError(f"Several labels a photo must be rows of 0 and 1. Received: {strange!r}")
    return found.astype(np.uint8)


def are_several(labels: np.ndarray) -> bool:
    """Whether a photo may have several of these labels, or none."""
    return labels.ndim == 2


def several_count(labels: np.ndarray) -> int:
    """Returns how many labels there are where a photo may have several; 0 where it has one class."""
    return labels.shape[1] if are_several(labels) else 0


def counts_of(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns int64[classes], how many photos have each."""
    if are_several(labels):
        return labels.sum(axis=0, dtype=np.int64)
    return np.bincount(labels, minlength=classes)


def numbers_of(labels: np.ndarray) -> np.ndarray:
    """Returns int64[n], equal for photos whose labels are all the same."""
    if not are_several(labels):
        return labels
    return np.unique(labels, axis=0, return_inverse=True)[1].ravel()


def agree(labels: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns whether photos have their class, one of their labels, or that they have none, in common with others.

    Args:
        labels: In either form.
        rows: Numbers of photos, of any shape.
        others: Numbers of the photos beside them, of a shape that broadcasts with it.
    """
    own, other = labels[rows], labels[others]
    if not are_several(labels):
        return own == other
    return (own & other).any(-1) | ~(own.any(-1) | other.any(-1))


def targets_of(labels: np.ndarray, classes: int, label_smoothing: float = 0.0) -> np.ndarray:
    """Returns float64[n, classes], what the probabilities should be.

    Args:
        labels: In either form.
        classes: How many there are.
        label_smoothing: Share of a label that is spread over all classes; of several labels, each is spread over being
            there and not.
    """
    if are_several(labels):
        return labels * (1 - label_smoothing) + label_smoothing / 2
    return np.eye(classes)[labels] * (1 - label_smoothing) + label_smoothing / classes


def probabilities_of(logits: np.ndarray, *, several: bool) -> np.ndarray:
    """Returns float64[n, classes]: of one class a photo they add up to 1, of several labels each stands alone."""
    logits = logits.astype(np.float64)
    return expit(logits) if several else softmax(logits, axis=-1)


def names_of(row: np.ndarray | np.integer, class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of one photo's labels, of its row of 0 and 1 or of its class's number."""
    if np.ndim(row) == 0:
        return (class_names[int(row)],)
    return tuple(name for name, has in zip(class_names, np.asarray(row), strict=True) if has)


def check_recipe_of_several(recipe: Recipe) -> None:
    """Refuses what only photos of one class have.

    Raises:
        InputError: The recipe asks for it.
    """
    refused: dict[str, tuple[Any, str]] = {
        "positive_class": (recipe.positive_class, "every label has a threshold of its own"),
        "find": (recipe.find, "every label's threshold is chosen for its F1"),
    }
    for name, (value, reason) in refused.items():
        if value is not None:
            raise InputError(
                f"`{name}` is for photos of one class, and those of {recipe.data!r} have several labels: {reason}. "
                f"Received: {value!r}"
            )
    if recipe.class_balance == "sampling":
        raise InputError(
            f"`class_balance='sampling'` is for photos of one class: a photo that is drawn more often for one of its "
            f"labels brings the others along. Those of {recipe.data!r} have several: use class_balance='weights'."
        )
