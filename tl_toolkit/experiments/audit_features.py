"""What a frozen network makes of the photos of an audit: doubtful labels, outliers and photos that stand alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from tl_toolkit.catalog import On, ValueRange
from tl_toolkit.data.dataset import EncodedImages, FileImages, ImageDataset, Images, Split
from tl_toolkit.data.labels import agree
from tl_toolkit.data.listing import Listing
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.label_issues import LabelIssues, issues_of
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.solve_new_head import features_of_head
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import NewHead
from tl_toolkit.transfer.solved_head import FeatureRows, solve_head

NEIGHBOURS = 10
ROWS = 1024  # that are compared with all others at once
COORDINATES = 256  # at most, that distances are taken in
OUTER_FENCE = 3.0  # interquartile ranges over the third quartile (Tukey 1977): "far out"


@dataclasses.dataclass(frozen=True)
class FeatureColumns:
    """What the features say, a row a photo that was looked at.

    Attributes:
        weights: Of the network.
        on: What of it was looked at.
        rows: int64[m], the photos' numbers in the audit.
        label_issues: Of their labels; None where classes are too small to cross-validate.
        distance: float32[m], mean distance (1 - cosine) to the ten nearest photos that are no near-duplicates.
        is_outlier: bool[m], whether that is far over the usual.
        stands_alone: bool[m], whether none of the five nearest has the photo's class, or one of its labels.
    """

    weights: str
    on: On
    rows: np.ndarray
    label_issues: LabelIssues | None
    distance: np.ndarray
    is_outlier: np.ndarray
    stands_alone: np.ndarray


def look_with_features(
    uri: str,
    listing: Listing,
    rows: np.ndarray,
    groups: np.ndarray,
    head: NewHead,
    weights: str | None,
    context: Context,
    value_range: ValueRange | None = None,
) -> FeatureColumns:
    """Computes the features in one pass, or takes them from the cache, and judges by them.

    Args:
        uri: Of the data, which decides the default weights.
        listing: All photos.
        rows: int64[m], those that can be read.
        groups: int64[m], equal for photos that must be in one fold.
        head: Says what of the network is looked at.
        weights: A name, as in a recipe; None: the data's default.
        context: Where features are kept, and what shows the work.
        value_range: By which photo files are scaled.

    Raises:
        InputError: The weights cannot be had.
        NoRoomError: There is no room for the features.
    """
    labels = listing.labels[rows]
    recipe = Recipe(data=uri, strategy=head, weights=weights, value_range=value_range)
    images = _images(listing, rows, value_range)
    train = Split(images, labels, rows.astype(np.int64), groups=groups.astype(str))
    dataset = ImageDataset(uri, listing.class_names, train, None, train.take([0]))
    context = dataclasses.replace(context, dataset=dataset, announce_devices=False)
    experiment = prepare(recipe, context)
    processes = ProcessGroup(context.devices(recipe))
    with features_of_head(experiment, context, processes, views=1) as (features, _):
        with context.progress.stage("Cross-validating a head on the features"):
            uniform = np.ones(len(labels), np.float32)
            solved = solve_head(features, labels, len(listing.class_names), uniform, groups)
        with context.progress.stage("Looking for outliers"):
            points = _points(features)
    issues = None
    if solved.path is not None:
        issues = issues_of(solved.path.logits, labels)
    distance, agreeing = _neighbourhood(points, labels, groups)
    low, high = np.quantile(distance, [0.25, 0.75])
    return FeatureColumns(
        weights=str(recipe.start),
        on=head.on,
        rows=rows,
        label_issues=issues,
        distance=distance,
        is_outlier=distance > high + OUTER_FENCE * max(high - low, 1e-6),
        stands_alone=agreeing == 0,
    )


def _images(listing: Listing, rows: np.ndarray, value_range: ValueRange | None) -> Images:
    if listing.are_files:
        return FileImages(PathColumn.of(listing.names[rows]), value_range)
    contents = np.empty(len(rows), object)
    contents[:] = [listing.read(int(row)) for row in rows]
    return EncodedImages(contents)


def _points(features: FeatureRows) -> np.ndarray:
    """Returns float32[m, at most COORDINATES], centred, of length 1; many features are projected at random."""
    _, count = features.shape
    basis = None
    if count > COORDINATES:  # distances keep (Johnson and Lindenstrauss 1984), to about a twentieth
        rng = np.random.default_rng(0)
        basis = rng.normal(size=(count, COORDINATES)).astype(np.float32)
    blocks = [block if basis is None else block @ basis for block in features.blocks()]
    points = np.concatenate(blocks)
    points -= points.mean(0)
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)


def _neighbourhood(
    points: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns each photo's mean distance to its neighbours, and how many of the nearest five `agree` with its labels."""
    count = len(points)
    kept = min(NEIGHBOURS, count - 1)
    distance, agreeing = np.zeros(count, np.float32), np.zeros(count, np.int64)
    for start in range(0, count, ROWS):
        similar = points[start : start + ROWS] @ points.T
        similar[groups[start : start + ROWS, None] == groups] = -np.inf
        near = np.argpartition(-similar, kept - 1, 1)[:, :kept]
        value = np.take_along_axis(similar, near, 1)
        order = np.argsort(-value, 1)
        near, value = np.take_along_axis(near, order, 1), np.take_along_axis(value, order, 1)
        distance[start : start + ROWS] = 1 - np.where(np.isfinite(value), value, -1).mean(1)
        rows = np.arange(start, start + len(near))
        agreeing[start : start + ROWS] = agree(labels, rows[:, None], near[:, :5]).sum(1)
    return distance, agreeing
