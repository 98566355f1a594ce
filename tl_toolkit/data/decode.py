"""Encoded images to pixels, by TensorFlow operations alone: training and the exported graph share them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence

import tensorflow as tf

from tl_toolkit.data.exif import chunk_orientation, exif_orientation, once_traced

JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG"
# What files are known to be, by their first bytes. A graph for one format is a third of that for any, and all who
# decode wait until it is traced and optimised.
ANY_FORMAT = b""
MAGIC_BYTES = 4  # that tell
GIF_MAGIC = b"GIF8"
BMP_MAGIC = b"BM"
WEBP_ANIMATION_FLAG, WEBP_ALPHA_FLAG = 0x02, 0x10
BMP_HEADER_BYTES = 2048  # the largest header has 138 bytes, the largest palette 1024
# The accurate transform is the one that PIL uses, and so the one that public weights saw.
DCT_METHOD = "INTEGER_ACCURATE"


_TRACING = threading.Lock()  # threads that come first together would each trace a function


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one image, told apart by its first bytes.

    JPEG (CMYK converted), PNG (16 bits a channel reduced to 8, transparency laid on white, but a colour
    that stands for transparent is kept), GIF (first frame, transparency ignored), BMP (24 and 32 bits, or
    8 with a palette), and WebP (first frame, transparency laid on white); those that can carry an EXIF
    orientation, JPEG, PNG and WebP, upright.

    Args:
        encoded: string[], the file's contents.

    Returns:
        uint8[height, width, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: Not one of the formats, or damaged.
    """
    encoded = tf.convert_to_tensor(encoded)
    if tf.executing_eagerly() and common_format([encoded.numpy()]) == PNG_MAGIC:
        return decode_png(encoded)
    return tf.cond(
        is_jpeg(encoded), lambda: _decode_jpeg(encoded), lambda: decode_non_jpeg(encoded)
    )


def common_format(contents: Sequence[bytes]) -> bytes:
    """Returns the first bytes that files of one format share, JPEG's or PNG's; `ANY_FORMAT` of others."""
    for magic in (JPEG_MAGIC, PNG_MAGIC):
        if all(file.startswith(magic) for file in contents):
            return magic
    return ANY_FORMAT


def is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Returns bool[], whether a file's contents begin as a JPEG's do."""
    return tf.equal(tf.strings.substr(encoded, 0, len(JPEG_MAGIC)), JPEG_MAGIC)


@once_traced
def decode_non_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """As `decode_image`, for all formats but JPEG."""
    # Padded, so that a file of a few bytes can be asked for its twelfth.
    header = tf.strings.join([tf.strings.substr(encoded, 0, 12), b"\0" * 12])

    def starts_with(magic: bytes) -> tf.Tensor:
        return tf.equal(tf.strings.substr(header, 0, len(magic)), magic)

    is_png = starts_with(PNG_MAGIC)
    is_webp = starts_with(b"RIFF") & tf.equal(tf.strings.substr(header, 8, 4), b"WEBP")

    def png_or_webp() -> tf.Tensor:
        decoders = (lambda: tf.io.decode_png(encoded), lambda: _decode_webp(encoded))
        return _upright_rgb(tf.cond(is_png, *decoders), encoded, is_png)

    image = tf.case(
        [
            (is_png | is_webp, png_or_webp),
            (starts_with(GIF_MAGIC), lambda: tf.io.decode_gif(encoded)[0]),
            (starts_with(BMP_MAGIC), lambda: _decode_bmp(encoded)),
        ],
        # No known format: this operation's error says so.
        default=lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
        exclusive=False,
    )
    return tf.ensure_shape(image, (None, None, 3))


@once_traced
def decode_png(encoded: tf.Tensor) -> tf.Tensor:
    """As `decode_image`, for a file that is known to be a PNG."""
    image = _upright_rgb(tf.io.decode_png(encoded), encoded, tf.constant(True))
    return tf.ensure_shape(image, (None, None, 3))


def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_webp(_with_alpha_if_animated(encoded))[0]


def _upright_rgb(image: tf.Tensor, encoded: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    """Returns what a PNG or WebP file was decoded to in RGB, turned as the file says."""
    return apply_orientation(_to_rgb(image), chunk_orientation(encoded, is_png))


def decode_jpeg_window(jpeg: tf.Tensor, window: tf.Tensor, scale: int) -> tf.Tensor:
    """Decodes a part of a JPEG as it is stored: EXIF orientation is not looked at.

    Args:
        jpeg: string[], the file's contents.
        window: int32 (top, left, height, width) in pixels of the result, inside the image.
        scale: 1, 2, 4 or 8: put out at that fraction of the size, at a fraction of the work.

    Returns:
        uint8[height, width, 3].
    """
    return tf.io.decode_and_crop_jpeg(jpeg, window, channels=3, ratio=scale, dct_method=DCT_METHOD)


@once_traced
def _decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method=DCT_METHOD)
    orientation = exif_orientation(encoded)
    return tf.ensure_shape(apply_orientation(image, orientation), (None, None, 3))


def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    def colours(indices: tf.Tensor) -> tf.Tensor:
        # Blue, green, red and a zero for each colour, between the header and the pixels.
        header = tf.io.decode_raw(tf.strings.substr(encoded, 0, BMP_HEADER_BYTES), tf.uint8)
        pixels_start, header_size = (tf.bitcast(header[at : at + 4], tf.int32) for at in (10, 14))
        palette = tf.reshape(header[14 + header_size : pixels_start], (-1, 4))
        return tf.gather(palette[:, 2::-1], tf.cast(indices, tf.int32))

    # TensorFlow hands out a palette's indices as they are. A fourth channel of a BMP is padding more
    # often than transparency.
    image = tf.io.decode_bmp(encoded)
    has_palette = tf.equal(tf.shape(image)[-1], 1)
    return tf.cond(has_palette, lambda: colours(image[..., 0]), lambda: image[..., :3])


def _with_alpha_if_animated(webp: tf.Tensor) -> tf.Tensor:
    """Sets the alpha flag in the header of an animation.

    Frames always come with alpha; TensorFlow 2.21 makes room for it only where the header says so, and
    otherwise writes past the end of its memory.
    """
    header = tf.io.decode_raw(
        tf.strings.join([tf.strings.substr(webp, 0, 21), b"\0" * 21]), tf.uint8
    )
    flags = header[20]
    is_extended = tf.reduce_all(tf.equal(header[12:16], list(b"VP8X")))
    is_animated = is_extended & tf.not_equal(flags & WEBP_ANIMATION_FLAG, 0)

    def set_flag() -> tf.Tensor:
        start, end = tf.strings.substr(webp, 0, 20), tf.strings.substr(webp, 21, -1)
        with_alpha = tf.constant([bytes([byte | WEBP_ALPHA_FLAG]) for byte in range(256)])
        return tf.strings.join([start, with_alpha[tf.cast(flags, tf.int32)], end])

    return tf.cond(is_animated, set_flag, lambda: webp)


def _to_rgb(image: tf.Tensor) -> tf.Tensor:
    """Grey, grey with alpha, RGB or RGBA to RGB; what is transparent becomes white.

    The channels are looked at here, not asked of the decoder: TensorFlow's gives a PNG of under 8 bits a
    wrong alpha, and a WebP only the channels that it has.
    """
    channels = tf.shape(image)[-1]
    is_grey, has_alpha = channels < 3, tf.equal(channels % 2, 0)
    colour = tf.cond(is_grey, lambda: tf.tile(image[..., :1], (1, 1, 3)), lambda: image[..., :3])
    return tf.cond(has_alpha, lambda: _on_white(colour, image[..., -1:]), lambda: colour)


def _on_white(colour: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    colour, alpha = tf.cast(colour, tf.int32), tf.cast(alpha, tf.int32)
    # Integer arithmetic, rounded: opaque pixels stay exactly what they were.
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


@tf.function(
    input_signature=[tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int32)],
    autograph=False,
)
def apply_orientation(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image upright.

    Args:
        image: uint8[height, width, 3].
        orientation: int32[], 1 to 8, as EXIF has it.

    Returns:
        The image; height and width change places for 5 to 8.
    """
    transposed, flip_left_right, flip_up_down = turns(orientation)

    def turn() -> tf.Tensor:
        turned = tf.cond(transposed, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
        turned = tf.cond(flip_left_right, lambda: turned[:, ::-1], lambda: turned)
        return tf.cond(flip_up_down, lambda: turned[::-1], lambda: turned)

    return tf.cond(tf.equal(orientation, 1), lambda: image, turn)


def stored_window(window: tf.Tensor, sides: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Finds a window of the upright image in the image as it is stored.

    Args:
        window: int32 (top, left, height, width).
        sides: int32 (height, width) of the upright image.
        orientation: int32[], 1 to 8, as EXIF has it.

    Returns:
        int32 (top, left, height, width); cut out there and turned upright, it is the window.
    """
    transposed, flip_left_right, flip_up_down = turns(orientation)
    start, size = window[:2], window[2:]
    start = tf.where(tf.stack([flip_up_down, flip_left_right]), sides - start - size, start)
    start, size = (tf.where(transposed, pair[::-1], pair) for pair in (start, size))
    return tf.concat([start, size], 0)


def turns(orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What turns an image upright, in order: transpose, flip left to right, flip upside down; bool[]."""
    # Read from the right: 5 to 8 are 1 to 4 of the transposed image.
    return (
        orientation >= 5,
        tf.reduce_any(tf.equal(orientation, [2, 3, 6, 7])),
        tf.reduce_any(tf.equal(orientation, [3, 4, 7, 8])),
    )


def check_image(encoded: bytes) -> None:
    """Raises `tf.errors.InvalidArgumentError` where `decode_image` would.

    A JPEG is read to its end, but put out at an eighth of its size, which is cheaper.
    """
    if encoded.startswith(JPEG_MAGIC):
        tf.io.decode_jpeg(encoded, channels=3, ratio=8)
    else:
        with _TRACING:
            decode = _ready_to_decode()
        decode(tf.constant(encoded))


@functools.cache
def _ready_to_decode() -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `decode_non_jpeg` once it was called: threads that called it first would each optimise its graph, in 10 MB."""
    decode = decode_non_jpeg.get_concrete_function()
    decode(tf.io.encode_png(tf.zeros((1, 1, 3), tf.uint8)))
    return decode
