"""One training example, or one view of an image, read by its position."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Augmentation, Preprocessing
from tl_toolkit.data.augment import augment_and_resize
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.draws import MIX, draw_key
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.data.lazy_image import LazyImage
from tl_toolkit.data.mixing import draw_partner, mix_images
from tl_toolkit.data.parallelism import PARALLEL_CALLS, PREFETCHED, without_autotuning

Example = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # pixels, label, weight in the loss

NUMBER, NUMBERS = tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.int64)


def example_reader(
    split: Split,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None,
    seed: int,
    *,
    load: Callable[[tf.Tensor], LazyImage],
    weights: np.ndarray,
    traced: bool = True,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], Example]:
    """Returns a function that reads a training example; traced once, however often it is called.

    The function takes an image's position, the epoch, the number of the view, int64[] each, and the positions of
    all images of the epoch in their order, int64[n], of which one is mixed in where the augmentation mixes. It
    returns float32[size, size, 3], 0-255, an int64 label and its float32 weight in the loss; of photos with several
    labels a row of each; of a mixed example those of two images, those of the image at the position first.

    Args:
        split: The examples.
        preprocessing: Gives the size and the interpolation.
        augmentation: The preset; None gives the evaluation view.
        seed: Of the run.
        load: From a position to the image.
        weights: Of `example_weights`, each image's weight in the loss.
        traced: Whether it becomes a graph. For a few dozen examples that takes longer than to read them.
    """
    ids, labels, weights = (tf.constant(of) for of in (split.ids, split.labels, weights))
    mixes = augmentation is not None and augmentation.mixes

    def graph(*signature: tf.TensorSpec) -> Callable[[Callable], Callable]:
        if not traced:
            return lambda function: function
        return tf.function(input_signature=signature, autograph=False)

    # Mixed, two views are read: by one function, which is traced once.
    @graph(NUMBER, NUMBER)
    def view_of(position: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
        return augment_and_resize(
            load(position), augmentation, preprocessing, seed, ids[position], view
        )

    @graph(NUMBER, NUMBER, NUMBER, NUMBERS)
    def example(
        position: tf.Tensor, epoch: tf.Tensor, view: tf.Tensor, partners: tf.Tensor
    ) -> Example:
        pixels = view_of(position, view)
        if augmentation is None or not mixes:
            return pixels, labels[position], weights[position]
        key = draw_key(seed, MIX, ids[position], epoch)
        partner = draw_partner(position, partners, key)
        pixels, share = mix_images(pixels, view_of(partner, view), augmentation, key)
        pair = tf.stack([position, partner])
        shares = tf.stack([share, 1 - share])
        if labels.shape.rank == 2:
            shares = shares[:, None]
        return pixels, tf.gather(labels, pair), tf.gather(weights, pair) * shares

    return example


def view_reader(
    split: Split, preprocessing: Preprocessing, augmentation: Augmentation | None, seed: int
) -> Callable[[np.ndarray, int, int], Iterable[tf.Tensor]]:
    """Returns a function that reads any view of any of the images; traced once, however often it is called.

    The function takes positions, int64[n], the number of the view, and a batch size, and returns an iterable
    of float32[batch, size, size, 3], 0-255, in the order of the positions.
    """
    if augmentation is None:  # by what evaluates, which is traced anyway
        return lambda positions, _, batch_size: (
            images
            for images, _ in EvaluationBatches(split.take(positions), preprocessing, batch_size)
        )
    load, ids = split.images.view_loader(), tf.constant(split.ids)

    @tf.function(input_signature=[NUMBER, NUMBER], autograph=False)
    def pixels(position: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
        return augment_and_resize(
            load(position), augmentation, preprocessing, seed, ids[position], view
        )

    def read(positions: np.ndarray, view: int, batch_size: int) -> tf.data.Dataset:
        return without_autotuning(
            tf.data.Dataset.from_tensor_slices((positions, np.full_like(positions, view)))
            .map(pixels, PARALLEL_CALLS, deterministic=True)
            .batch(batch_size)
            .prefetch(PREFETCHED)
        )

    return read
