"""Training from stored activations: the frozen layers run over the images once, the rest is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Augmentation, Preprocessing
from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.labels import several_count
from tl_toolkit.data.parallelism import PREFETCHED, without_autotuning
from tl_toolkit.data.pipeline import batch_positions, example_weights, label_signature
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.transfer.cut import Cut, cut_model
from tl_toolkit.transfer.feature_cache import FeatureCache, Features, SplitViews


@dataclasses.dataclass(frozen=True)
class CachedBatches:
    """A model's frozen layers, replaced by their activations, which stay on disk until `release`.

    Attributes:
        cut: The two parts of the model.
        train: Activations of the training images, of every view.
        validation: Activations of the validation images; None where there are none.
    """

    cut: Cut
    train: Features
    validation: Features | None

    @property
    def model(self) -> keras.Model:
        """Activations to logits, with the model's own variables."""
        return self.cut.trained

    def training_signature(self, several: int = 0) -> tuple[tf.TensorSpec, ...]:
        """What a batch of `training_batches` is, whatever its size.

        Args:
            several: As for `training_signature` of images.
        """
        return (
            tf.TensorSpec((None, *self.train.shape), tf.float32),
            *label_signature(several=several),
        )

    def training_batches(
        self, split: Split, class_weights: np.ndarray | None, **batches: Any
    ) -> tf.data.Dataset:
        """The batches of `data.pipeline.training_batches`, with activations in place of pixels.

        Args:
            split: The training images.
            class_weights: See there.
            batches: See `batch_positions`.
        """
        weights, views = example_weights(split, class_weights), len(self.train.entries)

        def examples() -> Iterator[tuple[np.ndarray, ...]]:
            for epoch, positions in batch_positions(split.labels, **batches):
                rows = self.train.rows(positions, epoch % views)
                yield rows, split.labels[positions], weights[positions]

        return without_autotuning(
            tf.data.Dataset.from_generator(
                examples, output_signature=self.training_signature(several_count(split.labels))
            ).prefetch(PREFETCHED)
        )

    def validation_batches(self, split: Split, batch_size: int) -> tf.data.Dataset:
        """The batches of `EvaluationBatches`, with activations in place of pixels."""
        features = self.validation
        if features is None:
            raise ValueError("There are no activations of validation images.")

        def examples() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for start in range(0, len(split), batch_size):
                positions = np.arange(start, min(start + batch_size, len(split)))
                yield features.rows(positions), split.labels[positions]

        return without_autotuning(
            tf.data.Dataset.from_generator(
                examples, output_signature=self.training_signature(several_count(split.labels))[:2]
            )
        )

    def release(self) -> None:
        """Lets other runs remove the activations from the cache, once these batches are no longer read."""
        if self.train.lease is not None:
            self.train.lease.release()


def cache_features(
    model: keras.Model,
    cut_layer: str,
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None,
    *,
    seed: int,
    views: int,
    storage: str,
    cache: FeatureCache,
    progress: Progress = SILENT,
) -> CachedBatches:
    """Runs the frozen layers over the images whose activations are not in the cache.

    Raises:
        NoRoomError: The activations of training and validation images do not fit together.
    """
    cut = cut_model(model, cut_layer)
    wanted = [SplitViews(dataset.train, augmentation, seed, views)]
    if dataset.validation is not None:
        wanted.append(SplitViews(dataset.validation))
    if cut.is_joined:
        storage = "float32"  # as which the head sees averages and maxima in the whole model
    train, *rest = cache.features(
        cut.frozen, wanted, preprocessing, storage=storage, progress=progress
    )
    return CachedBatches(cut, train, rest[0] if rest else None)
