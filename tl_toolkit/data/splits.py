"""Chooses training, validation and test images: stratified, seeded, copies kept together.

scikit-learn's splitters are not used: they neither promise every class an image on both sides nor
keep copies of one file together while they stratify.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tl_toolkit.errors import InputError


def stratified_split(
    labels: np.ndarray,
    fraction: float,
    seed: int | Sequence[int],
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Chooses which images go to the smaller side of a split.

    Args:
        labels: int64[n].
        fraction: Of every class, rounded; at least one image of it and never the last one.
        seed: The same seed gives the same choice, in each class whatever the others hold.
        groups: int64[n]; images of one group (all of one class) stay together.

    Returns:
        bool[n], True for the chosen ones.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        units = _class_rng(seed, label).permutation(np.unique(groups[labels == label]))
        count = int(np.clip(round(fraction * len(units)), 1, max(len(units) - 1, 0)))
        chosen |= np.isin(groups, units[:count]) & (labels == label)
    return chosen


def sample_per_class(
    labels: np.ndarray,
    per_class: int,
    seed: int | Sequence[int],
    class_names: Sequence[str],
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Chooses `per_class` images of every class, one a group.

    Returns:
        int64[classes * per_class], positions in ascending order.

    Raises:
        InputError: A class has fewer distinct images.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    chosen = []
    for label, name in enumerate(class_names):
        positions = np.flatnonzero(labels == label)
        _, first_of_group = np.unique(groups[positions], return_index=True)
        distinct = positions[np.sort(first_of_group)]
        if len(distinct) < per_class:
            raise InputError(
                f"Class {name!r} has {len(distinct)} distinct images to train on, fewer than "
                f"labels_per_class={per_class}: lower it, or add images."
            )
        chosen.append(_class_rng(seed, label).permutation(distinct)[:per_class])
    return np.sort(np.concatenate(chosen))


def _class_rng(seed: int | Sequence[int], label: int) -> np.random.Generator:
    return np.random.default_rng([*np.atleast_1d(seed), label])


def check_class_sizes(
    labels: np.ndarray,
    class_names: Sequence[str],
    sides: Sequence[str],
    groups: np.ndarray | None = None,
) -> None:
    """Raises `InputError` where a class has too few distinct images for one on each of `sides`."""
    groups = np.arange(len(labels)) if groups is None else groups
    for label, name in enumerate(class_names):
        distinct = len(np.unique(groups[labels == label]))
        if distinct < len(sides):
            images = "image" if distinct == 1 else "distinct images"
            raise InputError(
                f"Class {name!r} has {distinct} {images}; it needs {len(sides)}, one each to "
                f"{', '.join(sides)}. Add images, or remove the class."
                + (" validation_fraction=0 needs one less." if "validate" in sides else "")
            )
