"""Chooses training, validation and test images: stratified, seeded, copies kept together.

scikit-learn's splitters are not used: they neither promise every class an image on both sides nor
keep copies of one file together while they stratify.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tl_toolkit.data.label_splits import check_label_sizes, split_of_labels
from tl_toolkit.data.labels import are_several
from tl_toolkit.errors import InputError


def stratified_split(
    labels: np.ndarray,
    fraction: float,
    seed: int | Sequence[int],
    groups: np.ndarray | None = None,
    class_names: Sequence[str] = (),
) -> np.ndarray:
    """Chooses which images go to the smaller side of a split.

    Args:
        labels: int64[n]; or uint8[n, labels], which `split_of_labels` splits.
        fraction: Of every class, rounded; at least one image of it and never the last one.
        seed: The same seed gives the same choice, in each class whatever the others hold.
        groups: int64[n]; images of one group stay together.
        class_names: For the error.

    Returns:
        bool[n], True for the chosen ones.

    Raises:
        InputError: Groups of several classes leave a side without a class.
    """
    if are_several(labels):
        return split_of_labels(labels, fraction, seed, groups, class_names)
    groups = np.arange(len(labels)) if groups is None else groups
    if _holds_mixed_groups(labels, groups):
        return _split_mixed_groups(labels, fraction, seed, groups)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        units = _class_rng(seed, label).permutation(np.unique(groups[labels == label]))
        count = int(np.clip(round(fraction * len(units)), 1, max(len(units) - 1, 0)))
        chosen |= np.isin(groups, units[:count]) & (labels == label)
    return chosen


def _holds_mixed_groups(labels: np.ndarray, groups: np.ndarray) -> bool:
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    return bool((labels[first][number] != labels).any())


def _split_mixed_groups(
    labels: np.ndarray, fraction: float, seed: int | Sequence[int], groups: np.ndarray
) -> np.ndarray:
    """Takes groups, the largest first, while they bring the classes nearer to their shares of the smaller side."""
    classes, label = np.unique(labels, return_inverse=True)
    names, number = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (number, label), 1)
    total = counts.sum(0)
    wanted = np.clip(np.rint(fraction * total), 1, None)
    order = np.random.default_rng([*np.atleast_1d(seed), len(classes)]).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    taken, is_taken = np.zeros(len(classes)), np.zeros(len(names), bool)

    def miss(held: np.ndarray) -> float:
        return float((((held - wanted) / wanted) ** 2).sum())

    for group in order:
        after = taken + counts[group]
        if (after < total).all() and miss(after) < miss(taken):
            taken, is_taken[group] = after, True
    if (taken == 0).any():
        raise InputError(
            f"The groups cannot be parted so that every class is on both sides: class number "
            f"{int(classes[taken.argmin()])} is in too few of them. Give more groups, or a column 'split'."
        )
    return is_taken[number]


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
    if are_several(labels):
        check_label_sizes(labels, class_names, sides, groups)
        return
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
