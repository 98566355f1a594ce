"""A thumbnail is the same picture for every format and size, and None where there is no picture."""

import io

import numpy as np
import pytest
from PIL import Image
from scenes import jpeg, scene

from tl_toolkit.data.thumbnails import NUMBERS, SIDE, thumbnail_of_file


def saved(pixels, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def grey_and_colour(thumbnail):
    return thumbnail[: SIDE * SIDE].astype(int), thumbnail[SIDE * SIDE :].astype(int)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_it_is_the_photo_in_32_by_32_grey_levels_and_its_mean_colour(kind):
    photo = scene(120, 200)
    grey, colour = grey_and_colour(
        thumbnail_of_file(saved(photo, kind, **({"lossless": True} if kind == "WEBP" else {})))
    )
    assert thumbnail_of_file(saved(photo, "PNG")).shape == (NUMBERS,)
    expected = Image.fromarray(photo).convert("L").resize((SIDE, SIDE), Image.Resampling.HAMMING)
    np.testing.assert_array_equal(grey, np.asarray(expected).ravel())
    np.testing.assert_allclose(colour, photo.mean((0, 1)), atol=1)


@pytest.mark.parametrize(("height", "width"), [(300, 500), (1100, 1400), (1400, 1100)])
def test_of_a_large_jpeg_it_is_nearly_that_of_all_its_pixels(height, width):
    """Large ones are shrunk first."""
    photo = scene(height, width)
    grey, colour = grey_and_colour(thumbnail_of_file(jpeg(photo)))
    of_all, mean = grey_and_colour(
        thumbnail_of_file(saved(photo, "PNG" if height < 1000 else "BMP"))
    )
    assert np.abs(grey - of_all).mean() < 2.5
    np.testing.assert_allclose(colour, mean, atol=2)


@pytest.mark.parametrize(
    "contents", [b"", b"no photo", jpeg(scene(60, 60))[:60], jpeg(scene(1100, 1100))[:-3000]]
)
def test_of_what_cannot_be_read_there_is_none(contents):
    assert thumbnail_of_file(contents) is None
