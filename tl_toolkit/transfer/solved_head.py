"""A new dense head by logistic regression on stored features; cross-validation chooses how strongly it is held back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tl_toolkit.data.label_splits import folds_of_labels
from tl_toolkit.data.labels import are_several, targets_of
from tl_toolkit.private_names import release_pages
from tl_toolkit.transfer.feature_cache import Features
from tl_toolkit.transfer.feature_space import LinearHead
from tl_toolkit.transfer.logistic_regression import Path, Problem

FOLDS = 5
STRENGTH_UNSEEN = 1e-3  # C where no class has two images to cross-validate with


@dataclasses.dataclass(frozen=True)
class SolvedHead:
    """A head, and how it was chosen.

    Attributes:
        head: Fitted to all training images.
        strength: C, of the L2 penalty ‖W‖² / (2 C) on standardised features.
        path: What every strength gave in cross-validation, its logits those of the images; None where it was
            not possible.
        folds: int64[n], the fold that each training image was left out with; None likewise.
    """

    head: LinearHead
    strength: float
    path: Path | None = None
    folds: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class FeatureRows:
    """Features of the same images under several views as `Rows`: all images of a view, then those of the next.

    Attributes:
        parts: Each of one view or several.
    """

    parts: Sequence[Features]

    @property
    def views(self) -> int:
        """How many there are."""
        return sum(len(part.entries) for part in self.parts)

    @property
    def shape(self) -> tuple[int, int]:
        """(images x views, features)."""
        rows = sum(len(shard) for shard in self._shards())
        return rows, self.parts[0].shape[0]

    def blocks(self, columns: slice = slice(None)) -> Iterator[np.ndarray]:
        """Yields a shard at a time, and lets go of its memory."""
        for shard in self._shards():
            block = np.array(shard[:, columns], np.float32)
            release_pages(shard)
            yield block

    def _shards(self) -> Iterator[np.ndarray]:
        for part in self.parts:
            for shards in part.entries:
                yield from shards


def solve_head(
    rows: FeatureRows,
    labels: np.ndarray,
    classes: int,
    weights: np.ndarray,
    groups: np.ndarray,
    *,
    label_smoothing: float = 0.0,
    seed: int = 0,
) -> SolvedHead:
    """Cross-validates the strengths on the training images, and fits the best one to all of them.

    All views of an image, and all images of a group, are in one fold. What is scored is the first view.

    Args:
        rows: The images' features under one view or more.
        labels: int64[images]; or uint8[images, labels], of images with several labels.
        classes: How many there are.
        weights: Of `example_weights`, each image's share of the loss; its views have it together.
        groups: [images], equal for images that must not be on both sides, such as copies of one file.
        label_smoothing: Share of a label that is spread over all classes.
        seed: Deals the images into folds.
    """
    images, views = len(labels), rows.views
    targets = targets_of(labels, classes, label_smoothing)
    of_views = np.concatenate([weights.astype(np.float64) / views] * views)
    problem = Problem(rows, np.tile(targets, (views, 1)), of_views)
    folds = deal_folds(labels, groups, seed)
    if folds is None:
        return SolvedHead(problem.fit(STRENGTH_UNSEEN), STRENGTH_UNSEEN)
    path = problem.cross_validate(np.tile(folds, views), np.arange(images * views) < images)
    path = dataclasses.replace(path, logits=path.logits[:images])  # of the view that was scored
    strength = path.strengths[path.best]
    return SolvedHead(problem.fit(strength, path.nearby), strength, path, folds)


def deal_folds(
    labels: np.ndarray, groups: np.ndarray, seed: int, most: int = FOLDS
) -> np.ndarray | None:
    """Deals images into folds: every class evenly, every group as a whole.

    Args:
        labels: int64[n]; or uint8[n, labels], of images with several labels.
        groups: [n], equal for images that stay together.
        seed: Shuffles them.
        most: Folds.

    Returns:
        int64[n], each image's fold, from 0: of `most`, or as many as the middle one of the classes has groups.
        None where that is under 2.
    """
    if are_several(labels):
        return folds_of_labels(labels, groups, seed, most)
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    label_of_group = labels[first]
    folds = min(most, int(np.median(np.unique(label_of_group, return_counts=True)[1])))
    if folds < 2:
        return None
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(label_of_group[order], kind="stable")]
    dealt = np.empty(len(first), np.int64)
    dealt[order] = np.arange(len(first)) % folds
    return dealt[group_of]
