"""Decoding gives PIL's pixels, and every damaged file the same error everywhere."""

import io
import struct

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tl_toolkit.data.dataset import FileImages
from tl_toolkit.data.decode import check_image, decode_image
from tl_toolkit.data.exif import chunk_orientation, exif_orientation

ORIENTATIONS = range(1, 9)
BYTE_ORDERS = {"II": "<", "MM": ">"}
EXIF_LETTERS = b"Exif\0\0"

graph_decode = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.fixture(params=[decode_image, graph_decode], ids=["eager", "graph"])
def decode(request):
    return lambda contents: request.param(tf.constant(contents)).numpy()


def pil_pixels(contents):
    """Upright, transparency laid on white, RGB."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    if "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def segment(marker, payload):
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def tiff_block(orientation, byte_order="MM", entries_before=0):
    """A TIFF header and a directory: other entries of 12 bytes, then the orientation."""
    order = BYTE_ORDERS[byte_order]
    width = struct.pack(order + "HHIHH", 0x0100, 3, 1, 17, 0)
    turned = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    entries = width * entries_before + turned
    return (
        byte_order.encode()
        + struct.pack(order + "HIH", 42, 8, entries_before + 1)
        + entries
        + struct.pack(order + "I", 0)
    )


def with_segments(jpeg, *segments):
    """The segments right behind the start of the image."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def with_exif(jpeg, tiff, *segments_before):
    return with_segments(jpeg, *segments_before, segment(0xE1, EXIF_LETTERS + tiff))


@pytest.fixture(scope="module")
def jpeg(photo, encoded):
    return encoded(photo(0), "JPEG", quality=95)


def error_of(function, contents):
    try:
        function(contents)
    except tf.errors.InvalidArgumentError:
        return "InvalidArgumentError"
    return "none"


@pytest.mark.parametrize("byte_order", BYTE_ORDERS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_exif_orientation_is_turned_upright_as_pil_does(
    jpeg, decode, orientation, byte_order
):
    turned = with_exif(jpeg, tiff_block(orientation, byte_order, entries_before=2))
    pixels = decode(turned)
    assert pixels.shape == ((13, 17, 3) if orientation < 5 else (17, 13, 3))
    np.testing.assert_array_equal(pixels, pil_pixels(turned))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_that_pil_writes_is_read(photo, encoded, decode, orientation):
    exif = Image.Exif()
    exif[0x010F] = "A camera's maker"
    exif[0x0112] = orientation
    contents = encoded(photo(1), "JPEG", exif=exif)
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))
    assert exif_orientation(tf.constant(contents)).numpy() == orientation


@pytest.mark.parametrize("byte_order", BYTE_ORDERS)
def test_exif_is_found_behind_other_segments(jpeg, decode, byte_order):
    colour_profile = segment(0xE2, b"ICC_PROFILE\0" + bytes(range(256)) * 40)
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
    comment = segment(0xFE, b"Exif\0\0MM is what a comment may say")
    turned = with_exif(jpeg, tiff_block(6, byte_order), colour_profile, xmp, comment)
    assert exif_orientation(tf.constant(turned)).numpy() == 6
    np.testing.assert_array_equal(decode(turned), pil_pixels(turned))


@pytest.mark.parametrize("byte_order", BYTE_ORDERS)
@pytest.mark.parametrize("orientation", [0, 9, 256, 65535])
def test_an_orientation_out_of_range_leaves_the_image_as_it_is(
    jpeg, decode, orientation, byte_order
):
    contents = with_exif(jpeg, tiff_block(orientation, byte_order))
    assert exif_orientation(tf.constant(contents)).numpy() == 1
    np.testing.assert_array_equal(decode(contents), decode(jpeg))


@pytest.mark.parametrize("byte_order", BYTE_ORDERS)
def test_an_exif_block_cut_short_leaves_the_image_as_it_is(jpeg, decode, byte_order):
    block = tiff_block(6, byte_order)
    up_to_the_value = len(block) - 6
    for length in range(up_to_the_value):
        contents = with_exif(jpeg, block[:length])
        assert exif_orientation(tf.constant(contents)).numpy() == 1, length
    assert exif_orientation(tf.constant(with_exif(jpeg, block))).numpy() == 6
    np.testing.assert_array_equal(decode(with_exif(jpeg, block[:14])), decode(jpeg))


def test_a_jpeg_without_exif_or_without_a_picture_has_orientation_one(jpeg):
    for contents in (jpeg, jpeg[:4], jpeg[:3], with_segments(jpeg[:2], segment(0xE1, b""))):
        assert exif_orientation(tf.constant(contents)).numpy() == 1


PNG_FILES = {
    "rgb": ("RGB", {}),
    "rgba": ("RGBA", {}),
    "grey": ("L", {}),
    "grey with alpha": ("LA", {}),
    "1 bit": ("1", {}),
}
PALETTE_FILES = {
    "8 bits": (200, {}),
    "8 bits, one transparent colour": (200, {"transparency": 3}),
    "8 bits, an alpha a colour": (200, {"transparency": bytes(range(0, 200))}),
    "4 bits": (16, {"bits": 4}),
    "2 bits": (4, {"bits": 2}),
    "2 bits, one transparent colour": (4, {"bits": 2, "transparency": 1}),
    "1 bit": (2, {"bits": 1}),
}


@pytest.mark.parametrize(("mode", "options"), PNG_FILES.values(), ids=PNG_FILES)
def test_png_without_a_palette_is_pils_to_the_last_bit(photo, encoded, decode, mode, options):
    contents = encoded(photo(2, mode=mode), "PNG", **options)
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))


@pytest.mark.parametrize(("colours", "options"), PALETTE_FILES.values(), ids=PALETTE_FILES)
def test_png_with_a_palette_is_pils_to_the_last_bit(photo, encoded, decode, colours, options):
    contents = encoded(photo(3).quantize(colours), "PNG", **options)
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))


def test_fully_transparent_pixels_become_white_and_opaque_ones_stay(photo, encoded, decode):
    pixels = np.array(photo(4, mode="RGBA"))
    pixels[..., 3] = np.where(np.arange(17) < 8, 0, 255)
    decoded = decode(encoded(Image.fromarray(pixels), "PNG"))
    assert (decoded[:, :8] == 255).all()
    np.testing.assert_array_equal(decoded[:, 8:], pixels[:, 8:, :3])


def test_16_bit_grey_png_keeps_the_upper_8_bits(encoded, decode):
    values = np.random.default_rng(5).integers(0, 1 << 16, (13, 17), np.uint16)
    decoded = decode(encoded(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(decoded, np.repeat((values >> 8)[..., None], 3, axis=-1))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_png_keeps_the_upper_8_bits(encoded, decode, channels):
    values = np.random.default_rng(6).integers(0, 1 << 16, (13, 17, channels), np.uint16)
    decoded = decode(tf.io.encode_png(values).numpy())  # PIL writes no such file
    in_8_bits = Image.fromarray((values >> 8).astype(np.uint8))
    np.testing.assert_array_equal(decoded, pil_pixels(encoded(in_8_bits, "PNG")))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_bmp_is_pils_to_the_last_bit(photo, encoded, decode, mode):
    contents = encoded(photo(7, mode=mode), "BMP")
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))


def test_the_fourth_channel_of_a_bmp_is_not_taken_for_transparency(photo, encoded, decode):
    image = photo(8, mode="RGBA")
    np.testing.assert_array_equal(decode(encoded(image, "BMP")), np.asarray(image)[..., :3])


@pytest.mark.parametrize("colours", [200, 5])
def test_bmp_with_a_palette_shows_its_colours(photo, encoded, decode, colours):
    contents = encoded(photo(9).quantize(colours), "BMP")
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))


def test_bmp_with_a_palette_shorter_than_its_indices_is_refused(photo, encoded, decode):
    contents = bytearray(encoded(photo(9).quantize(200), "BMP"))
    # The pixels' place in the file, moved up into the palette of 256 colours.
    contents[10:14] = struct.pack("<I", 14 + 40 + 4 * 100)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(bytes(contents))


@pytest.mark.parametrize("mode", ["L", "P"])
def test_gif_gives_its_first_frame(photo, encoded, decode, mode):
    frames = [photo(seed).quantize(64).convert(mode) for seed in (10, 11, 12)]
    still = encoded(frames[0], "GIF")
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    first = np.asarray(frames[0].convert("RGB"))
    np.testing.assert_array_equal(decode(still), first)
    np.testing.assert_array_equal(decode(animated), first)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("frames", [1, 3])
def test_lossless_webp_gives_the_first_frame_on_white(photo, encoded, decode, mode, frames):
    # An animation without alpha made TensorFlow's decoder write past the end of its memory.
    images = [photo(seed, mode=mode) for seed in range(13, 13 + frames)]
    options = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    contents = encoded(images[0], "WEBP", lossless=True, exact=True, **options)
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))


@pytest.mark.parametrize("frames", [1, 2])
def test_lossy_webp_is_pils_to_the_last_bit(photo, encoded, decode, frames):
    options = {"save_all": True, "append_images": [photo(17)]} if frames > 1 else {}
    contents = encoded(photo(16), "WEBP", quality=70, **options)
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_jpeg_is_pils_to_the_last_bit(photo, encoded, decode, mode, progressive, subsampling):
    image = photo(18, 35, 29, mode)
    contents = encoded(image, "JPEG", progressive=progressive, subsampling=subsampling)
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))


def test_cmyk_jpeg_is_pils_but_for_the_rounding(photo, encoded, decode):
    contents = encoded(photo(19, mode="CMYK"), "JPEG", quality=95)
    difference = decode(contents).astype(int) - pil_pixels(contents)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_the_kind_is_told_from_the_contents_whatever_the_file_is_called(
    photo, encoded, tmp_path, kind
):
    contents = encoded(photo(20), kind)
    names = ["photo.jpg", "photo.png", "photo.txt", "photo"]
    for name in names:
        (tmp_path / name).write_bytes(contents)
    load = FileImages(np.array([str(tmp_path / name) for name in names])).loader()
    for index in range(len(names)):
        np.testing.assert_array_equal(load(tf.constant(index)).pixels(), decode_image(contents))


DAMAGED = {
    "text": lambda jpeg, png: b"This is not an image.\n" * 20,
    "text that is not UTF-8": lambda jpeg, png: b"\xb6\xc3" * 30,
    "empty": lambda jpeg, png: b"",
    "one byte": lambda jpeg, png: b"\xff",
    "JPEG of 4 bytes": lambda jpeg, png: b"\xff\xd8\xff\xe0",
    "half a JPEG": lambda jpeg, png: jpeg[: len(jpeg) // 2],
    "JPEG without its last pixels": lambda jpeg, png: jpeg[:-40],
    "half a PNG": lambda jpeg, png: png[: len(png) // 2],
    "PNG of 4 bytes": lambda jpeg, png: png[:4],
    "PNG header alone": lambda jpeg, png: png[:33],
    "GIF header alone": lambda jpeg, png: b"GIF89a",
    "BMP header alone": lambda jpeg, png: b"BM",
    "BMP header of bytes that are not UTF-8": lambda jpeg, png: b"BM" + b"\xb6" * 60,
    "WebP header alone": lambda jpeg, png: b"RIFF\xb6\xb6\0\0WEBP",
    "WebP header of an animation": lambda jpeg, png: b"RIFF\xb6\xb6\0\0WEBPVP8X\x0a\0\0\0\x02",
    "HEIC": lambda jpeg, png: b"\0\0\0\x18ftypheic" + bytes(40),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_damaged_input_is_an_invalid_argument_wherever_it_is_read(
    jpeg, photo, encoded, decode, damage
):
    contents = damage(jpeg, encoded(photo(0), "PNG"))
    assert error_of(decode, contents) == "InvalidArgumentError"
    assert error_of(check_image, contents) == "InvalidArgumentError"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
    ids=str,
)
def test_check_image_refuses_a_cut_file_exactly_where_decoding_does(photo, encoded, kind, options):
    contents = encoded(photo(21), kind, **options)
    assert error_of(check_image, contents) == "none"

    @hypothesis.given(st.integers(0, len(contents) - 1))
    def agrees(length):
        cut = contents[:length]
        assert error_of(check_image, cut) == error_of(decode_image, cut)

    agrees()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_check_image_accepts_what_decodes(photo, encoded, mode):
    contents = encoded(photo(22, mode=mode), "JPEG")
    assert error_of(decode_image, contents) == error_of(check_image, contents) == "none"


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_of_other_formats_is_read_as_pil_reads_it(photo, encoded, decode, orientation, kind):
    exif = Image.Exif()
    exif[0x010F] = "A camera's maker"
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {}
    contents = encoded(photo(1), kind, exif=exif.tobytes(), **lossless)
    np.testing.assert_array_equal(decode(contents), pil_pixels(contents))
    assert chunk_orientation(tf.constant(contents), kind == "PNG").numpy() == orientation


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_file_cut_short_before_its_exif_has_orientation_one(photo, encoded, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = encoded(photo(1), kind, exif=exif.tobytes())
    is_png = kind == "PNG"
    name = b"eXIf" if is_png else b"EXIF"
    assert chunk_orientation(tf.constant(contents), is_png).numpy() == 6
    for length in (0, 3, 8, 12, 20, 40, contents.index(name), contents.index(name) + 8):
        assert chunk_orientation(tf.constant(contents[:length]), is_png).numpy() == 1, length
    # A chunk that claims to be longer than the file ends the walk.
    place = 8 if is_png else 16
    longer = contents[:place] + b"\x7f\xff\xff\xf0" + contents[place + 4 :]
    assert chunk_orientation(tf.constant(longer), is_png).numpy() == 1
