"""Images whose pixels are decoded only when it is known which are needed, and how finely."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tl_toolkit.data.decode import (
    ANY_FORMAT,
    JPEG_MAGIC,
    PNG_MAGIC,
    apply_orientation,
    common_format,
    decode_image,
    decode_jpeg_window,
    decode_non_jpeg,
    decode_png,
    is_jpeg,
    stored_window,
    turns,
)
from tl_toolkit.data.exif import exif_orientation

# (top, left, height, width) in pixels, each float32[] or a number.
Window = tuple[Any, Any, Any, Any]

# A JPEG's blocks of 8 x 8 pixels can be put out with 8, 4, 2 pixels or 1 a side.
SCALES = (1, 2, 4, 8)
# Pixels beside a window that resampling looks at, for each of the window's pixels that one of the result
# stands for: the reach of the bicubic kernel.
KERNEL_REACH = 2
# Pixels beside those, because colour at half resolution is interpolated between neighbours.
COLOUR_REACH = 4


class DecodedImage:
    """A decoded image: uint8 or float32[height, width, 3]; its `is_jpeg` is False."""

    def __init__(self, pixels: tf.Tensor) -> None:
        self._pixels = pixels
        self.is_jpeg = tf.constant(False)

    def sides(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns float32 (height, width)."""
        shape = tf.cast(tf.shape(self._pixels), tf.float32)
        return shape[0], shape[1]

    def pixels(self) -> tf.Tensor:
        """Returns all of them."""
        return self._pixels

    def region(self, window: Window, size: int | tf.Tensor) -> tuple[tf.Tensor, Window]:
        """Returns pixels that hold a window of the image, and the window in them.

        Args:
            window: float32 (top, left, height, width) in the upright image's pixels; it may reach over
                the border.
            size: Side in pixels that the window will be resized to.
        """
        return self._pixels, window


class EncodedLazyImage:
    """An image file's contents. Of a JPEG only the window that is needed is decoded, no finer than needed.

    `region` does not notice a JPEG that is cut short behind the window; `check_image` reads to the end.

    Args:
        contents: string[].
        known: What all files are known to be that it may stand for: `common_format` of them.

    Attributes:
        contents: As given.
        is_jpeg: bool[].

    Raises:
        tf.errors.InvalidArgumentError: In sides, pixels and region; not one of the formats, or damaged.
    """

    def __init__(self, contents: tf.Tensor, known: bytes = ANY_FORMAT) -> None:
        self.contents = tf.convert_to_tensor(contents)
        if tf.executing_eagerly():
            known = common_format([self.contents.numpy()])
        opened, self._region_of = _decoder(known)
        self.is_jpeg, self._decoded, self._sides, self._orientation = opened(self.contents)

    def sides(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns float32 (height, width), upright."""
        sides = tf.cast(self._sides, tf.float32)
        return sides[0], sides[1]

    def pixels(self) -> tf.Tensor:
        """Returns uint8[height, width, 3], all of it, at full resolution."""
        return decode_image(self.contents)

    def region(self, window: Window, size: int | tf.Tensor) -> tuple[tf.Tensor, Window]:
        """As `DecodedImage.region`; a JPEG at the coarsest of its scales that still has `size` pixels."""
        pixels, window_in_them = self._region_of(
            self.contents,
            self.is_jpeg,
            self._decoded,
            self._sides,
            self._orientation,
            tf.stack([tf.cast(number, tf.float32) for number in window]),
            tf.cast(size, tf.float32),
        )
        top, left, height, width = tf.unstack(window_in_them, num=4)
        return pixels, (top, left, height, width)


_CONTENTS = tf.TensorSpec([], tf.string)
_PIXELS = tf.TensorSpec([None, None, 3], tf.uint8)


@functools.cache
def _decoder(known: bytes) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Returns two functions, traced once in a process, whoever decodes: training, evaluation and the served graph share them.

    The first takes a file's contents, and returns whether it is a JPEG, other formats' pixels, upright (height, width),
    and EXIF's orientation; the second takes the contents, what the first returned, a window and the side that it will be
    resized to, and returns what `EncodedLazyImage.region` does.
    """

    @tf.function(input_signature=[_CONTENTS], autograph=False)
    def opened(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        def read_header() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            shape = tf.io.extract_jpeg_shape(contents)
            orientation = exif_orientation(contents)
            sides = tf.where(orientation >= 5, shape[1::-1], shape[:2])
            return tf.zeros((0, 0, 3), tf.uint8), sides, orientation

        def decode() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            pixels = decode_png(contents) if known == PNG_MAGIC else decode_non_jpeg(contents)
            return pixels, tf.shape(pixels)[:2], tf.constant(1)

        if known == ANY_FORMAT:
            jpeg = is_jpeg(contents)
            return jpeg, *tf.cond(jpeg, read_header, decode)
        jpeg = tf.constant(known == JPEG_MAGIC)
        return jpeg, *(read_header() if known == JPEG_MAGIC else decode())

    @tf.function(
        input_signature=[
            _CONTENTS,
            tf.TensorSpec([], tf.bool),
            _PIXELS,
            tf.TensorSpec([2], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([4], tf.float32),
            tf.TensorSpec([], tf.float32),
        ],
        autograph=False,
    )
    def region(
        contents: tf.Tensor,
        jpeg: tf.Tensor,
        decoded: tf.Tensor,
        sides: tf.Tensor,
        orientation: tf.Tensor,
        window: tf.Tensor,
        size: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        def of_jpeg() -> tuple[tf.Tensor, tf.Tensor]:
            detail = tf.minimum(window[2], window[3]) / size
            scale = tf.reduce_max(tf.where(detail >= SCALES, SCALES, 1))
            return _jpeg_region(contents, sides, orientation, window, size, scale)

        if known == ANY_FORMAT:
            return tf.cond(jpeg, of_jpeg, lambda: (decoded, window))
        return of_jpeg() if known == JPEG_MAGIC else (decoded, window)

    return opened, region


def _jpeg_region(
    contents: tf.Tensor,
    stored_sides: tf.Tensor,
    orientation: tf.Tensor,
    window: tf.Tensor,
    size: tf.Tensor,
    scale: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    divisor = tf.cast(scale, tf.float32)
    top, left, height, width = tf.unstack(window / divisor, num=4)
    # The last pixel of a row or column may stand for less than `scale` of the stored ones; turned
    # upright, it may come first.
    sides = -(-stored_sides // scale)
    beyond = tf.cast(sides, tf.float32) - tf.cast(stored_sides, tf.float32) / divisor
    _, flip_left_right, flip_up_down = turns(orientation)
    top += tf.where(flip_up_down, beyond[0], 0.0)
    left += tf.where(flip_left_right, beyond[1], 0.0)
    coarseness = tf.maximum(height, width) / size
    reach = KERNEL_REACH * tf.maximum(coarseness, 1.0) + COLOUR_REACH
    first = tf.cast(tf.floor(tf.stack([top, left]) - reach), tf.int32)
    last = tf.cast(tf.math.ceil(tf.stack([top + height, left + width]) + reach), tf.int32)
    # At least one pixel, even if the window lies outside the image.
    first = tf.clip_by_value(first, 0, sides - 1)
    last = tf.clip_by_value(last, first + 1, sides)
    box = stored_window(tf.concat([first, last - first], 0), sides, orientation)
    decoders = [functools.partial(decode_jpeg_window, contents, box, s) for s in SCALES]
    # Not `tf.switch_case`: in a function that a function calls, the workers of a cluster place it on the
    # first one.
    pixels = tf.cond(
        scale < SCALES[2],
        lambda: tf.cond(scale < SCALES[1], decoders[0], decoders[1]),
        lambda: tf.cond(scale < SCALES[3], decoders[2], decoders[3]),
    )
    start = tf.cast(first, tf.float32)
    return (
        apply_orientation(pixels, orientation),
        tf.stack([top - start[0], left - start[1], height, width]),
    )


LazyImage = DecodedImage | EncodedLazyImage


def lazy_image_of(image: LazyImage | tf.Tensor) -> LazyImage:
    """Returns a `LazyImage` as it is, and pixels as a `DecodedImage`."""
    return image if isinstance(image, LazyImage) else DecodedImage(image)
