"""A data set: images, labels and ids of three splits, and what the user should know about them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tl_toolkit.catalog import AugmentationName, ValueRange
from tl_toolkit.data.decodable_tensor import decodable_tensor
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.labels import are_several, as_labels
from tl_toolkit.data.lazy_image import DecodedImage, EncodedLazyImage, LazyImage
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.fields import check_fields


class Images(Protocol):
    """Images that are read one at a time, by number."""

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> Images:
        """Returns the images at those positions."""

    def joined(self, other: Self) -> Self:
        """Returns these images and then the others, of the same source."""

    def loader(self) -> Callable[[tf.Tensor], LazyImage]:
        """Returns a function from int64[] (a number) to the image, by TensorFlow operations alone."""

    def view_loader(self) -> Callable[[tf.Tensor], LazyImage]:
        """As `loader`, for augmented views, which may be cut from a smaller copy of a large photo."""

    def view_contents(self) -> Callable[[int], bytes]:
        """Returns a function, for threads, from a number to the file's contents that `view_loader` decodes."""

    def encoded(self, index: int) -> bytes:
        """Returns one image as a file's contents, in a format that TensorFlow decodes."""

    def identity(self, index: int) -> bytes:
        """Returns bytes that are equal for two images exactly where the images are; cheap to get."""


@dataclasses.dataclass(frozen=True)
class FileImages:
    """Image files, read when they are needed.

    Attributes:
        paths: Of the files; any sequence of paths is taken.
        value_range: By which 16-bit and float greys are scaled; None: what these can hold.
    """

    paths: PathColumn
    value_range: ValueRange | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.paths, PathColumn):
            object.__setattr__(self, "paths", PathColumn.of(self.paths))

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: np.ndarray) -> Self:
        return dataclasses.replace(self, paths=self.paths[indices])

    def joined(self, other: FileImages) -> Self:
        return dataclasses.replace(self, paths=self.paths.joined(other.paths))

    def loader(self) -> Callable[[tf.Tensor], LazyImage]:
        paths = tf.constant([os.fsencode(path) for path in self.paths], tf.string)

        def load(index: tf.Tensor) -> LazyImage:
            contents = tf.io.read_file(paths[index])
            return EncodedLazyImage(decodable_tensor(contents, self.value_range))

        return load

    def view_loader(self) -> Callable[[tf.Tensor], LazyImage]:
        return self.loader()

    def view_contents(self) -> Callable[[int], bytes]:
        return self.encoded

    def encoded(self, index: int) -> bytes:
        return decodable(self.identity(index), self.value_range)

    def identity(self, index: int) -> bytes:
        return pathlib.Path(self.paths[index]).read_bytes()


@dataclasses.dataclass(frozen=True)
class EncodedImages:
    """Image files' contents, held in memory."""

    contents: np.ndarray  # object[n], bytes

    def __len__(self) -> int:
        return len(self.contents)

    def take(self, indices: np.ndarray) -> EncodedImages:
        return EncodedImages(self.contents[indices])

    def joined(self, other: EncodedImages) -> EncodedImages:
        return EncodedImages(np.concatenate([self.contents, other.contents]))

    def loader(self) -> Callable[[tf.Tensor], LazyImage]:
        contents = tf.constant(self.contents, tf.string)
        return lambda index: EncodedLazyImage(contents[index])

    def view_loader(self) -> Callable[[tf.Tensor], LazyImage]:
        return self.loader()

    def view_contents(self) -> Callable[[int], bytes]:
        return self.encoded

    def encoded(self, index: int) -> bytes:
        return self.contents[index]

    def identity(self, index: int) -> bytes:
        return self.contents[index]


@dataclasses.dataclass(frozen=True)
class ArrayImages:
    """Pixels of one size, held in memory."""

    pixels: np.ndarray  # uint8[n, height, width, 3]

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: np.ndarray) -> ArrayImages:
        return ArrayImages(self.pixels[indices])

    def joined(self, other: ArrayImages) -> ArrayImages:
        return ArrayImages(np.concatenate([self.pixels, other.pixels]))

    def loader(self) -> Callable[[tf.Tensor], LazyImage]:
        pixels = tf.constant(self.pixels, tf.uint8)
        return lambda index: DecodedImage(pixels[index])

    def view_loader(self) -> Callable[[tf.Tensor], LazyImage]:
        return self.loader()

    def view_contents(self) -> Callable[[int], bytes]:
        return self.encoded

    def encoded(self, index: int) -> bytes:
        return tf.io.encode_png(self.pixels[index]).numpy()

    def identity(self, index: int) -> bytes:
        # The shape too: 8 x 2 pixels of one colour are not 2 x 8.
        return repr(self.pixels.shape[1:]).encode() + self.pixels[index].tobytes()


@dataclasses.dataclass(frozen=True)
class Split:
    """Some images of a data set.

    Attributes:
        images: As files, files' contents or pixels.
        labels: int64[n], numbers of classes; of photos with several labels, uint8[n, labels] of 0 and 1.
        ids: int64[n], each image's number in the whole data set, whatever split it is in.
        weights: float32[n], how much each image counts in the loss; None: all alike.
        groups: str[n] or uint64[n], equal for images that must stay in one fold (copies, near-duplicates, a patient's), comparable
            with those of the source's other splits; None: only copies must.
    """

    images: Images
    labels: np.ndarray
    ids: np.ndarray
    weights: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray | Sequence[int]) -> Split:
        """Returns the split of those positions."""
        indices = np.asarray(indices, np.int64)
        weights = None if self.weights is None else self.weights[indices]
        groups = None if self.groups is None else self.groups[indices]
        return Split(
            self.images.take(indices), self.labels[indices], self.ids[indices], weights, groups
        )

    def joined(self, other: Split) -> Split:
        """Returns the images of this split and then those of another one of the same source."""
        weights = None
        if self.weights is not None or other.weights is not None:
            both = [(split.weights, len(split)) for split in (self, other)]
            weights = np.concatenate([np.ones(n, np.float32) if w is None else w for w, n in both])
        groups = None
        if self.groups is not None and other.groups is not None:
            groups = np.concatenate([self.groups, other.groups])
        return Split(
            self.images.joined(other.images),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.ids, other.ids]),
            weights,
            groups,
        )

    @classmethod
    def of(
        cls,
        images: Images,
        labels: npt.ArrayLike,
        first_id: int = 0,
        weights: npt.ArrayLike | None = None,
        groups: np.ndarray | None = None,
    ) -> Split:
        """Returns a split whose ids count up from `first_id`."""
        labels = as_labels(labels)
        ids = np.arange(first_id, first_id + len(labels), dtype=np.int64)
        weights = None if weights is None else np.asarray(weights, np.float32)
        return cls(images, labels, ids, weights, groups)


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """What a source returns, before missing splits are made.

    Attributes:
        class_names: In the order of the labels.
        train: All images that may be trained on or split further.
        validation: Where the source has one of its own.
        test: Where the source has one of its own.
        groups: int64[len(train)], equal for images that must stay on the same side of a split (copies of one file,
            near-duplicates, a patient's), or None where there are none.
        licence: Of the images.
        augmentation: Preset that suits these images.
        notes: What the user should know: files skipped, copies found.
    """

    class_names: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: Split | None = None
    groups: np.ndarray | None = None
    licence: str = ""
    augmentation: AugmentationName = "photo"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class ImageDataset:
    """Labelled images in three splits.

    Attributes:
        uri: What it was opened by.
        class_names: In the order of the labels.
        train: To learn from.
        validation: To select by; None where there is none.
        test: To look at once, at the end.
        licence: Of the images.
        augmentation: Preset that suits these images.
        notes: What the user should know: files skipped, copies found, a split that is not used.

    Examples:
        >>> dataset = tl.open_dataset("folder:photos")
        >>> dataset.class_names
        ('cat', 'dog', 'horse')
        >>> len(dataset.train), len(dataset.validation), len(dataset.test)
        (39, 9, 12)
        >>> dataset.train.labels[:5]
        array([0, 0, 0, 0, 0])
    """

    uri: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split | None
    test: Split
    licence: str = ""
    augmentation: AugmentationName = "photo"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def has_several_labels(self) -> bool:
        """Whether a photo may have several of the labels, or none."""
        return are_several(self.train.labels)

    def summary(self) -> str:
        """One line: classes and images of each split."""
        validation = len(self.validation) if self.validation is not None else 0
        what = "labels, any number a photo" if self.has_several_labels else "classes"
        return (
            f"{printable(self.uri)}: {len(self.class_names)} {what}; {len(self.train)} training, "
            f"{validation} validation and {len(self.test)} test images"
        )
