"""Batches as a pure function of (seed, epoch, step)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Augmentation, Preprocessing
from tl_toolkit.data.augment import coarse_from
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.decoded_cache import decoded_loader
from tl_toolkit.data.examples import Example, example_reader
from tl_toolkit.data.labels import are_several, counts_of
from tl_toolkit.data.parallelism import PARALLEL_CALLS, PREFETCHED, without_autotuning
from tl_toolkit.progress import SILENT, Progress


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Returns the batches of an epoch: every example once, `batch_size` at most in a batch."""
    return -(-examples // batch_size)


def batch_sizes(examples: int, batch_size: int) -> list[int]:
    """Returns the sizes of an epoch's batches, as even as possible: 50 examples by 32 are 25 and 25.

    A remainder of two or three images as a batch of its own would spoil batch normalisation's
    statistics; dropping it would drop images.
    """
    steps = steps_per_epoch(examples, batch_size)
    size, larger = divmod(examples, steps)
    return [size + 1] * larger + [size] * (steps - larger)


def epoch_order(labels: np.ndarray, seed: int, epoch: int, balanced: bool = False) -> np.ndarray:
    """Returns the positions of an epoch's examples in training order.

    Args:
        labels: int64[n].
        seed: Of the run.
        epoch: The first is 0.
        balanced: Repeat the images of smaller classes until all classes are as large as the largest;
            every image comes at least once.

    Returns:
        int64[m]; m is n, or classes x the largest class.
    """
    rng = np.random.default_rng((seed, epoch, 0x4F52))
    if not balanced:
        return rng.permutation(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    members = [np.flatnonzero(labels == label) for label in classes]
    repeated = [np.resize(rng.permutation(m), counts.max()) for m in members]
    return rng.permutation(np.concatenate(repeated))


def examples_per_epoch(labels: np.ndarray, balanced: bool = False) -> int:
    """Returns how many examples `epoch_order` puts in an epoch."""
    if not balanced:
        return len(labels)
    counts = np.unique(labels, return_counts=True)[1]
    return int(len(counts) * counts.max())


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns how much each class counts in the loss, so that all weigh the same.

    Args:
        labels: int64[n], or uint8[n, labels] of photos with several labels.
        classes: How many there are.

    Returns:
        float32[classes], n / (classes x size of the class). Of several labels float32[2, labels]: n / (2 x photos without
        it) and n / (2 x photos with it), so that having a label weighs as much as not having it.
    """
    counts = counts_of(labels, classes)
    if are_several(labels):
        both = np.stack([len(labels) - counts, counts])
        return (len(labels) / (2 * np.maximum(both, 1))).astype(np.float32)
    return (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)


def example_weights(split: Split, class_weights: np.ndarray | None) -> np.ndarray:
    """Returns each image's weight in the loss: its own times that of its class.

    Returns:
        float32[n]; of photos with several labels float32[n, labels], the weight of every answer.
    """
    weights = np.ones(len(split), np.float32) if split.weights is None else split.weights
    if are_several(split.labels):
        labels = split.labels.shape[1]
        of_answers = np.ones((2, labels), np.float32) if class_weights is None else class_weights
        return weights[:, None] * of_answers[split.labels, np.arange(labels)]
    return weights if class_weights is None else weights * class_weights[split.labels]


@dataclasses.dataclass(frozen=True)
class ReplicaShares:
    """The replicas of one process, among those that share every batch.

    Attributes:
        replicas: Of all processes.
        first: The first one of this process.
        count: How many this process has.
    """

    replicas: int = 1
    first: int = 0
    count: int = 1

    @classmethod
    def of(cls, process: tf.distribute.InputContext) -> ReplicaShares:
        """Returns the replicas of the process that a strategy builds an input pipeline for."""
        count = process.num_replicas_in_sync // process.num_input_pipelines
        return cls(process.num_replicas_in_sync, process.input_pipeline_id * count, count)

    def of_batch(self, positions: np.ndarray) -> list[np.ndarray]:
        """Returns a batch's examples for each replica of this process: as even as possible, none twice."""
        return np.array_split(positions, self.replicas)[self.first : self.first + self.count]


def epoch_shares(
    labels: np.ndarray,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    balanced: bool = False,
    replica_shares: ReplicaShares | None = None,
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yields (epoch, positions of the examples of every batch, share by share), an epoch at a time.

    See `training_batches`.
    """
    replica_shares = replica_shares or ReplicaShares()
    for epoch in range(first_epoch, epochs):
        order = epoch_order(labels, seed, epoch, balanced)
        ends = np.cumsum(batch_sizes(len(order), batch_size))
        skip = first_step if epoch == first_epoch else 0
        batches = list(zip([0, *ends], ends, strict=False))[skip:]
        yield (
            epoch,
            [
                share
                for start, end in batches
                for share in replica_shares.of_batch(order[start:end])
            ],
        )


def batch_positions(labels: np.ndarray, **batches: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (epoch, positions of the examples) for every element of `training_batches`."""
    for epoch, shares in epoch_shares(labels, **batches):
        for share in shares:
            yield epoch, share


def training_signature(
    preprocessing: Preprocessing, mixed: bool = False, several: int = 0
) -> tuple[tf.TensorSpec, ...]:
    """Returns the types and shapes of a batch of `training_batches`, whatever its size.

    Args:
        preprocessing: Gives the image size.
        mixed: Whether an example is made of two images, and has two labels.
        several: How many labels there are, where a photo may have several; 0: it has one class.
    """
    side = preprocessing.image_size
    return (
        tf.TensorSpec((None, side, side, 3), tf.float32),
        *label_signature(mixed, several),
    )


def label_signature(mixed: bool = False, several: int = 0) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    """Returns the types and shapes of a batch's labels and weights; the arguments are those of `training_signature`."""
    shape = (None, *((2,) if mixed else ()), *((several,) if several else ()))
    kind = tf.uint8 if several else tf.int64
    return tf.TensorSpec(shape, kind), tf.TensorSpec(shape, tf.float32)


def training_batches(
    split: Split,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    balanced: bool = False,
    class_weights: np.ndarray | None = None,
    views: int | None = None,
    replica_shares: ReplicaShares | None = None,
    progress: Progress = SILENT,
) -> tf.data.Dataset:
    """Returns all batches of a training run from any point of it.

    Args:
        split: The examples.
        preprocessing: Gives the image size and the interpolation.
        augmentation: See `augment_and_resize`, and `mix_images` where it mixes.
        batch_size: The largest batch; see `batch_sizes`.
        epochs: Where the run ends.
        seed: Of the run.
        first_epoch: Where to start.
        first_step: Where to start in that epoch.
        balanced: See `epoch_order`.
        views: How many views an image has; epoch e shows the view e % views. None: a new one each epoch.
        class_weights: Of `class_weights`, the loss weight of each class, times that of each example; 1 by
            default.
        replica_shares: Whose shares of the batches; None: whole batches.
        progress: Shows how many images are decoded, where they are decoded once and kept.

    Returns:
        A data set of (float32[batch, size, size, 3] pixels 0-255, int64[batch] labels, float32[batch]
        weights). Where the augmentation mixes two images, labels and weights are [batch, 2]: each label's share of
        the loss, times its image's weight. Of photos with several labels both are [batch, labels] or [batch, 2, labels], the
        labels uint8. The batches depend on the arguments alone. With replica shares an element is the share of one
        replica, in their order; it may be empty.
    """
    # By the whole run's epochs: a resumed run sees the same pixels to the last bit.
    if epochs > 1:
        coarse = coarse_from(augmentation, preprocessing.image_size)
        load = decoded_loader(split.images, coarse, resize=preprocessing.resize, progress=progress)
    else:
        load = split.images.view_loader()
    read_example = example_reader(
        split,
        preprocessing,
        augmentation,
        seed,
        load=load,
        weights=example_weights(split, class_weights),
    )
    mixes = augmentation is not None and augmentation.mixes
    nothing = np.empty(0, np.int64)

    def orders() -> Iterator[tuple[int, np.ndarray, list[int], np.ndarray]]:
        for epoch, shares in epoch_shares(
            split.labels,
            batch_size=batch_size,
            epochs=epochs,
            seed=seed,
            first_epoch=first_epoch,
            first_step=first_step,
            balanced=balanced,
            replica_shares=replica_shares,
        ):
            if shares:
                # Of the whole epoch, whatever is left of it and whoever else takes part.
                partners = epoch_order(split.labels, seed, epoch, balanced) if mixes else nothing
                yield epoch, np.concatenate(shares), [len(share) for share in shares], partners

    @tf.autograph.experimental.do_not_convert
    def batches_of_epoch(
        epoch: tf.Tensor, order: tf.Tensor, sizes: tf.Tensor, partners: tf.Tensor
    ) -> tf.data.Dataset:
        def example(position: tf.Tensor) -> Example:
            return read_example(position, epoch, epoch % (views or epochs), partners)

        # All examples of the epoch in one parallel map, and only then in batches.
        return (
            tf.data.Dataset.from_tensor_slices(order)
            .map(example, PARALLEL_CALLS, deterministic=True)
            .batch(tf.maximum(tf.reduce_max(sizes), 1))
            .rebatch(sizes)
            .take(tf.size(sizes, tf.int64))
        )

    number, index_vector = tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.int64)
    return without_autotuning(
        tf.data.Dataset.from_generator(
            orders, output_signature=(number, index_vector, index_vector, index_vector)
        )
        .flat_map(batches_of_epoch)
        .prefetch(PREFETCHED)
    )
