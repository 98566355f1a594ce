"""Images on which a network's statistics are measured: of a data set, or batches that a user brings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_toolkit.data.dataset import ImageDataset, Split
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.data.open import open_images
from tl_toolkit.data.opening import Opening
from tl_toolkit.data.pipeline import batch_sizes
from tl_toolkit.errors import InputError
from tl_toolkit.models.preprocessing import ImagePreprocessing
from tl_toolkit.progress import SILENT, Progress

BATCH_SIZE = 64  # as in evaluation
MOST_IMAGES = 1024  # of a data set

Batch = tuple[tf.Tensor, np.ndarray | None]


@dataclasses.dataclass(frozen=True)
class MeasuredImages:
    """Batches of images that a model takes, with labels where they are known.

    Attributes:
        open: Begins to read them; batches of (float32[batch, height, width, 3], int64[batch] or None).
        class_names: Of the labels; None where they are not known.
    """

    open: Callable[[], Iterator[Batch]]
    class_names: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[Batch]:
        return self.open()


def measured_images(
    model: keras.Model, data: Any, images: int = MOST_IMAGES, progress: Progress = SILENT
) -> MeasuredImages:
    """Returns the images of what `tl.batch_norm_report` takes as `data`.

    Args:
        model: That they are for.
        data: See there.
        images: Most images of a data set.
        progress: Shows how far opening a URI is.

    Raises:
        InputError: `data` is none of what may be given, or the model does not say how images are prepared.
    """
    if images < 2:
        raise InputError(
            f"`images` must be at least 2, or there is no variance. Received: {images}"
        )
    if isinstance(data, str):
        layer = preprocessing_of(model)
        value_range = None if layer is None else layer.record.value_range
        source = open_images(data, Opening(progress=progress, value_range=value_range))
        return _of_split(model, source.train, source.class_names, images)
    if isinstance(data, ImageDataset):
        return _of_split(model, data.train, data.class_names, images)
    if isinstance(data, Split):
        return _of_split(model, data, None, images)
    if not isinstance(data, Iterable):
        raise InputError(
            "`data` must be a data URI such as 'folder:photos', an ImageDataset, or batches of images. "
            f"Received: {type(data).__name__}"
        )
    return MeasuredImages(lambda: map(_batch, _batches(data)))


def _of_split(
    model: keras.Model, split: Split, class_names: tuple[str, ...] | None, images: int
) -> MeasuredImages:
    """Takes some of the images, mixed: batches of one class would have statistics of their own."""
    layer = preprocessing_of(model)
    if layer is None:
        raise InputError(
            f"The model {model.name!r} has no preprocessing layer of this toolkit, so that it does not say which "
            "images it takes: give batches of images as it takes them instead of a data set."
        )
    chosen = np.random.default_rng(0).permutation(len(split))[:images]
    # Of even sizes: statistics of a last batch of one or two images would say little.
    size = batch_sizes(len(chosen), BATCH_SIZE)[0] if len(chosen) else BATCH_SIZE
    batches = EvaluationBatches(split.take(chosen), layer.record, size)
    return MeasuredImages(
        lambda: ((pixels, labels.numpy()) for pixels, labels in batches), class_names
    )


def preprocessing_of(model: keras.Model) -> ImagePreprocessing | None:
    """Returns the layer that prepares a model's pixels, also in a model within it; None where there is none."""
    for layer in model.layers:
        found = preprocessing_of(layer) if isinstance(layer, keras.Model) else layer
        if isinstance(found, ImagePreprocessing):
            return found
    return None


def _batches(data: Iterable) -> Iterable:
    """Parts arrays that hold all images into batches; others are batches already."""
    pair: tuple | None = None
    if isinstance(data, (np.ndarray, tf.Tensor)):
        pair = (data,)
    elif isinstance(data, tuple) and len(data) == 2 and [np.ndim(d) for d in data] == [4, 1]:
        pair = data
    if pair is None:
        return data
    if not len(pair[0]):
        return []
    ends = np.cumsum(batch_sizes(len(pair[0]), BATCH_SIZE))
    return [
        tuple(part[start:end] for part in pair)
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def _batch(batch: Any) -> Batch:
    images, labels = (
        (batch[0], batch[1] if len(batch) > 1 else None)
        if isinstance(batch, (tuple, list))
        else (batch, None)
    )
    images = tf.cast(images, tf.float32)
    if len(images.shape) != 4:
        raise InputError(
            f"A batch of images has the shape [batch, height, width, 3]. Received: {tuple(images.shape)}"
        )
    if labels is None:
        return images, None
    labels = np.asarray(labels)
    if labels.shape != (len(images),):
        raise InputError(
            f"Labels are class numbers, one for each of {len(images)} images. Received the shape {labels.shape}"
        )
    return images, labels.astype(np.int64)
