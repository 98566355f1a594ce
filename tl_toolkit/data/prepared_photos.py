"""Photo files of which shrunk copies are kept: augmented views are cut from those.

A camera's photo takes a twentieth of a second to decode, in every epoch, and a network sees one in a hundred of its pixels.
Evaluation and serving read the photos themselves.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import Augmentation, Preprocessing
from tl_toolkit.data.content_digests import bytes_digest, digests_of_images
from tl_toolkit.data.dataset import FileImages, ImageDataset
from tl_toolkit.data.lazy_image import EncodedLazyImage, LazyImage
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.data.photo_copies import PhotoCopies
from tl_toolkit.data.shrunk_photos import is_large, shrunk, shrunk_file, side_for_views

NOT_TO_KEEP = b""

# From a photo's number to contents, and the digest to keep them by once they are shrunk.
Read = Callable[[int], tuple[bytes, bytes]]
# From that digest and the shrunk contents to these.
Keep = Callable[[bytes, bytes], bytes]


@dataclasses.dataclass(frozen=True)
class PreparedPhotos(FileImages):
    """Photo files, and how far their copies are shrunk.

    Attributes:
        side: Pixels of a copy's shorter side.
    """

    side: int = 0

    def view_loader(self) -> Callable[[tf.Tensor], LazyImage]:
        """As `loader`, of the copies: each is made where its photo is first needed, and read from then on.

        Where there is no room for a copy it is made every time, so that views do not depend on the room. Photos
        in formats that TensorFlow does not decode are converted once likewise.
        """
        read, keep = self._copies()

        def load(number: tf.Tensor) -> LazyImage:
            if tf.executing_eagerly():
                return EncodedLazyImage(tf.constant(self._contents(int(number), read, keep)))
            contents, digest = tf.numpy_function(
                read, [number], (tf.string, tf.string), stateful=False
            )
            contents, digest = tf.ensure_shape(contents, ()), tf.ensure_shape(digest, ())

            # Decoded by the graph: Python inside of it, waiting for another graph, could wait for its own thread.
            def shrink() -> tf.Tensor:
                copy = shrunk(contents, self.side)
                return tf.numpy_function(keep, [digest, copy], tf.string, stateful=False)

            contents = tf.cond(tf.equal(digest, NOT_TO_KEEP), lambda: contents, shrink)
            return EncodedLazyImage(tf.ensure_shape(contents, ()))

        return load

    def view_contents(self) -> Callable[[int], bytes]:
        read, keep = self._copies()

        return lambda number: self._contents(number, read, keep)

    def _contents(self, number: int, read: Read, keep: Keep) -> bytes:
        contents, digest = read(number)
        return contents if digest == NOT_TO_KEEP else keep(digest, shrunk_file(contents, self.side))

    def _copies(self) -> tuple[Read, Keep]:
        """Returns what reads a photo's copy, or else the photo, and what keeps a copy."""
        paths, side = self.paths, self.side
        digests = digests_of_images(self).tolist()
        copies = PhotoCopies(side, paths, digests, value_range=self.value_range)
        is_its_own_copy = np.zeros(len(paths), bool)

        def read(number: int) -> tuple[bytes, bytes]:
            if not is_its_own_copy[number]:
                copy = copies.read(digests[number])
                if copy is not None:
                    return copy, NOT_TO_KEEP
            contents = pathlib.Path(paths[int(number)]).read_bytes()
            if is_its_own_copy[number]:
                return contents, NOT_TO_KEEP
            readable = decodable(contents, self.value_range)
            # Of what was read: the file may have changed since.
            if is_large(readable, side):
                return readable, bytes_digest(contents).encode()
            if readable is not contents:
                copies.keep(bytes_digest(contents), readable)
            else:
                is_its_own_copy[number] = True
            return readable, NOT_TO_KEEP

        def keep(digest: bytes, copy: bytes) -> bytes:
            copies.keep(digest.decode(), copy)
            return copy

        return read, keep


def with_prepared_photos(
    dataset: ImageDataset, augmentation: Augmentation | None, preprocessing: Preprocessing
) -> ImageDataset:
    """Returns the data set with training images whose augmented views are cut from copies, where they are photo files."""
    images = dataset.train.images
    if augmentation is None or not isinstance(images, FileImages):
        return dataset
    side = side_for_views(augmentation, preprocessing.image_size)
    prepared = PreparedPhotos(images.paths, images.value_range, side)
    train = dataclasses.replace(dataset.train, images=prepared)
    return dataclasses.replace(dataset, train=train)
