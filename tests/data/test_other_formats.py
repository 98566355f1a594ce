"""Photos of other formats keep their pixels when they become PNG files; what is no photo is refused in words."""

import contextlib
import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

import tl_toolkit as tl
from tl_toolkit.catalog import Preprocessing
from tl_toolkit.data.decode import decode_image
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.data.other_formats import as_png, is_other_format
from tl_toolkit.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def saved(pixels, kind, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(contents):
    png = as_png(contents)
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
    return decode_image(png).numpy()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("PPM", {}),
        ("TGA", {}),
        ("PCX", {}),
        ("SGI", {}),
        ("JPEG2000", {"irreversible": False}),
    ],
    ids=lambda v: str(v),
)
def test_lossless_formats_keep_every_pixel(kind, options):
    contents = saved(PIXELS, kind, **options)
    assert is_other_format(contents)
    np.testing.assert_array_equal(decoded(contents), PIXELS)


def test_tiles_strips_and_the_first_of_several_pages():
    tifffile = pytest.importorskip("tifffile")
    large = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    for options in (
        {"tile": (16, 16)},
        {"rowsperstrip": 5},
        {"tile": (32, 32), "compression": "zlib"},
    ):
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            writer.write(large, photometric="rgb", **options)
            writer.write(255 - large, photometric="rgb", **options)
        np.testing.assert_array_equal(decoded(file.getvalue()), large)


@pytest.mark.parametrize("quality", [60, 95])
def test_heic_and_avif_are_as_pillow_decodes_them(quality):
    pillow_heif = pytest.importorskip("pillow_heif")
    smooth = np.linspace(0, 255, 64 * 48 * 3).reshape(64, 48, 3).astype(np.uint8)
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(smooth)).save(file, quality=quality)
    found = decoded(file.getvalue())
    theirs = np.asarray(
        pillow_heif.open_heif(io.BytesIO(file.getvalue())).to_pillow().convert("RGB")
    )
    np.testing.assert_array_equal(found, theirs)
    assert np.abs(found.astype(int) - smooth).mean() < 12
    avif = saved(smooth, "AVIF", quality=quality)
    with Image.open(io.BytesIO(avif)) as image:
        np.testing.assert_array_equal(decoded(avif), np.asarray(image.convert("RGB")))


def test_sixteen_bits_keep_their_upper_half_rounded_and_floats_are_from_0_to_1():
    values = np.random.default_rng(2).integers(0, 65536, (9, 11), np.uint16)
    values[0, :2] = 0, 65535
    expected = np.round(values / 257).astype(np.uint8)
    for contents in (saved(values, "TIFF"), saved(values, "PPM")):
        np.testing.assert_array_equal(decoded(contents), np.stack([expected] * 3, -1))
    floats = (values / 65535).astype(np.float32)
    np.testing.assert_array_equal(decoded(saved(floats, "TIFF"))[..., 0], np.round(floats * 255))
    with pytest.raises(InputError, match=r"floats from 0 to 65535: scale them"):
        as_png(saved(floats * 65535, "TIFF"))


def test_a_camera_held_upright_and_transparency():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decoded(saved(PIXELS, "TIFF", exif=exif.tobytes()))
    np.testing.assert_array_equal(turned, np.rot90(PIXELS, -1))
    alpha = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 0, np.uint8)])
    alpha[:10, :, 3] = 255
    found = decoded(saved(alpha, "TIFF"))
    np.testing.assert_array_equal(found[:10], PIXELS[:10])
    np.testing.assert_array_equal(found[10:], 255)


def test_an_embedded_profile_is_converted_and_a_wrong_one_is_not_looked_at():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decoded(saved(PIXELS, "TIFF", icc_profile=profile)), PIXELS)
    np.testing.assert_array_equal(decoded(saved(PIXELS, "TIFF", icc_profile=b"none")), PIXELS)
    grey = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    np.testing.assert_array_equal(decoded(saved(PIXELS, "TIFF", icc_profile=grey)), PIXELS)


def test_what_tensorflow_decodes_is_left_alone():
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        assert not is_other_format(saved(PIXELS, kind))


def test_too_many_pixels_are_refused_before_they_are_decoded():
    header = b"P6 20000 20000 255\n"
    with pytest.raises(InputError, match="too large"):
        as_png(header + b"\0" * 100)


@given(st.binary(max_size=200))
def test_noise_is_refused_in_words(noise):
    with pytest.raises(InputError):
        as_png(b"II*\0" + noise)


@given(st.data())
def test_a_damaged_file_is_read_or_refused_in_words(data):
    kind = data.draw(st.sampled_from(["TIFF", "PPM", "JPEG2000", "AVIF", "SGI", "TGA"]))
    contents = bytearray(saved(PIXELS, kind))
    for _ in range(data.draw(st.integers(1, 8))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(contents)))
    with contextlib.suppress(InputError):
        assert as_png(bytes(contents[:cut])).startswith(b"\x89PNG")


@pytest.mark.long
def test_without_the_extra_heic_says_how_to_get_it():
    script = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from tl_toolkit.data.other_formats import as_png\n"
        "as_png(b'\\0\\0\\0\\x18ftypheic' + b'\\0' * 40)"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "pip install 'tl-toolkit[photos]'" in process.stderr


KINDS = {"PNG": "png", "TIFF": "tif", "PPM": "jpg", "JPEG2000": "jp2"}


def test_photos_of_all_formats_are_opened_and_read_alike(tmp_path):
    """The same pixels in different files give the same images, whatever the files are called."""
    photos = np.random.default_rng(3).integers(0, 256, (12, 24, 24, 3), np.uint8)
    preprocessing, found = Preprocessing(image_size=16), {}
    for kind, suffix in KINDS.items():
        options = {"irreversible": False} if kind == "JPEG2000" else {}
        for number, pixels in enumerate(photos):
            folder = tmp_path / kind / ("train", "test")[number % 2] / "ab"[number // 6]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.{suffix}").write_bytes(saved(pixels, kind, **options))
        dataset = tl.open_dataset(f"folder:{tmp_path / kind}", validation_fraction=0)
        load = dataset.train.images.loader()
        read = tf.data.Dataset.range(6).map(lambda index, load=load: load(index).pixels())
        evaluated = next(iter(EvaluationBatches(dataset.test, preprocessing, 8)))[0].numpy()
        found[kind] = np.array(list(read.as_numpy_iterator())), evaluated
    for kind in KINDS:
        for ours, of_png in zip(found[kind], found["PNG"], strict=True):
            np.testing.assert_array_equal(ours, of_png)
