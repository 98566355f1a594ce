"""Which training images a run shows on its contact sheet, and how the network saw them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import LBFGS
from tl_toolkit.catalog.names import NO_LABEL
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.data.examples import example_reader
from tl_toolkit.data.labels import are_several, names_of
from tl_toolkit.data.pipeline import epoch_order, example_weights
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.report.run_plots import ContactSheet, SheetRow

IMAGES, VIEWS = 8, 6  # at most


def views_shown(experiment: Experiment) -> int:
    """Returns how many augmented views of an image the sheet has: as many as training saw, up to `VIEWS`."""
    hyperparameters = experiment.hyperparameters
    if experiment.augmentation is None:
        return 0
    if experiment.recipe.solver == LBFGS:  # it sees the images as they are, and further views
        return min((hyperparameters.views or 1) - 1, VIEWS)
    return min(hyperparameters.views or hyperparameters.epochs, VIEWS)


def contact_sheet(experiment: Experiment) -> ContactSheet | None:
    """Returns training images as evaluation sees them, and as training saw them in its first epochs.

    None for a head that was solved for from the images as they are.
    """
    views, is_solved = views_shown(experiment), experiment.recipe.solver == LBFGS
    if is_solved and not views:
        return None
    positions = choose_images(experiment.dataset.train.labels, experiment.recipe.seed)
    rows = sheet_rows(experiment, positions, views)
    columns = [f"{'view' if is_solved else 'epoch'} {number + 1}" for number in range(views)]
    name = experiment.recipe.augmentation or experiment.dataset.augmentation
    title = f"Training images at {experiment.preprocessing.image_size} px, augmentation “{name}”"
    return ContactSheet(rows, ["evaluation", *columns], title)


def choose_images(labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns the positions of up to `IMAGES` images, sorted by class: of as many classes as there are.

    Args:
        labels: int64[n]; of images with several labels, uint8[n, labels], the rarest of its labels counts as the class.
        seed: Of the run.
    """
    if are_several(labels):
        labels = _rarest_labels(labels)
    rng = np.random.default_rng((seed, 0x4353))
    shuffled = rng.permutation(len(labels))
    # By how many of its class come before an image: the first of every class, then the second.
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels[shuffled] == label)
        turn[of_class] = np.arange(len(of_class))
    chosen = shuffled[np.argsort(turn, kind="stable")][:IMAGES]
    return chosen[np.argsort(labels[chosen], kind="stable")]


def _rarest_labels(labels: np.ndarray) -> np.ndarray:
    """Returns int64[n], of each image the label that fewest have; that of no label is the last number."""
    counts = labels.sum(axis=0, dtype=np.float64)
    of_each = np.where(labels > 0, counts, np.inf)
    return np.where(labels.any(axis=1), of_each.argmin(axis=1), labels.shape[1]).astype(np.int64)


def sheet_rows(experiment: Experiment, positions: np.ndarray, views: int) -> list[SheetRow]:
    """Returns a row an image: the evaluation view, and the examples of so many epochs, mixed ones included."""
    recipe, train, names = (
        experiment.recipe,
        experiment.dataset.train,
        experiment.dataset.class_names,
    )
    several = are_several(train.labels)
    preprocessing = experiment.preprocessing
    read = example_reader(
        train,
        preprocessing,
        experiment.augmentation,
        recipe.seed,
        load=train.images.view_loader(),
        weights=example_weights(train, None) if several else np.ones(len(train), np.float32),
        traced=False,
    )
    orders = [
        tf.constant(
            epoch_order(train.labels, recipe.seed, epoch, recipe.class_balance == "sampling")
        )
        for epoch in range(views)
    ]
    (evaluated,) = EvaluationBatches(train.take(positions), preprocessing, len(positions))
    rows = []
    for position, seen in zip(positions, evaluated[0], strict=True):
        images = [seen]
        captions: list[list[tuple[float, str]]] = [[]]
        for epoch, order in enumerate(orders):
            number = tf.constant(epoch, tf.int64)
            pixels, labels, shares = read(tf.constant(position), number, number, order)
            images.append(pixels)
            captions.append([])
            if several:
                captions[-1] = _caption_of_labels(labels.numpy(), shares.numpy(), names)
            elif labels.shape.rank == 1:
                of_labels = zip(shares.numpy(), labels.numpy(), strict=True)
                captions[-1] = [(float(share), names[label]) for share, label in of_labels]
        pixels = np.rint(np.stack(images)).astype(np.uint8)
        rows.append(SheetRow(_name(train.labels[position], names), pixels, captions))
    return rows


def _name(label: np.ndarray | np.integer, names: Sequence[str]) -> str:
    return ", ".join(names_of(label, names)) or NO_LABEL


def _caption_of_labels(
    labels: np.ndarray, shares: np.ndarray, names: Sequence[str]
) -> list[tuple[float, str]]:
    """Returns the shares and labels of the two images of a mixed example; nothing of one that is not mixed."""
    if labels.ndim == 1:
        return []
    return [
        (float(share.mean()), _name(row, names)) for share, row in zip(shares, labels, strict=True)
    ]
