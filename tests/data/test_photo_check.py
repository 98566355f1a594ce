"""Each fault and each oddity is named, with its figure."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_image

from tl_toolkit.data import photo_check
from tl_toolkit.data.photo_check import BOMB, TRUNCATED, UNREADABLE, check_photo


@pytest.fixture
def sharp():
    """Squares of several grey levels: nothing is wrong with it."""
    levels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    return Image.fromarray(levels).resize((100, 80), Image.Resampling.NEAREST)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_a_good_photo_has_nothing(sharp, encoded, kind):
    facts = check_photo(encoded(sharp, kind), f"a.{kind.lower()}")
    assert (facts.format, facts.width, facts.height) == (kind, 100, 80)
    assert (facts.fault, facts.figures) == ("", {})
    assert facts.thumbnail.std() > 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_cut_file_is_truncated(sharp, encoded, kind):
    contents = encoded(sharp, kind)
    facts = check_photo(contents[: len(contents) // 2])
    assert (facts.fault, facts.width) == (TRUNCATED, 100)


@pytest.mark.parametrize("contents", [b"", b"no image", b"\xff\xd8\xff"])
def test_other_files_are_unreadable(contents):
    assert check_photo(contents).fault == UNREADABLE


def test_a_format_that_is_converted_is_looked_at_as_any_other(sharp, encoded):
    facts = check_photo(encoded(sharp, "TIFF"), "a.tif")
    assert (facts.format, facts.fault, facts.figures) == ("TIFF", "", {})
    np.testing.assert_array_equal(facts.thumbnail, check_photo(encoded(sharp, "PNG")).thumbnail)


def test_a_bomb_is_not_decoded(sharp, encoded, monkeypatch):
    monkeypatch.setattr(photo_check, "MOST_PIXELS", 7999)
    monkeypatch.setattr(photo_check, "check_image", lambda contents: pytest.fail("decoded"))
    assert check_photo(encoded(sharp, "PNG")).fault == BOMB


def levels(low, high, size=(64, 64)):
    grey = np.random.default_rng(0).integers(low, high, size[::-1], np.uint8)
    return Image.fromarray(grey).convert("RGB")


def blurred_flower():
    flower = Image.fromarray(load_sample_image("flower.jpg"))
    return flower.filter(ImageFilter.GaussianBlur(20))


@pytest.mark.parametrize(
    ("kind", "image", "options"),
    [
        ("tiny", levels(0, 256, (31, 40)), {}),
        ("odd aspect ratio", levels(0, 256, (100, 34)), {}),
        ("blank", levels(90, 92), {}),
        ("dark", levels(0, 60), {}),
        ("bright", levels(245, 256), {}),
        ("blurred", blurred_flower(), {}),
        ("CMYK", levels(0, 256).convert("CMYK"), {"kind": "JPEG", "quality": 95}),
        ("alpha", levels(0, 256).convert("RGBA"), {}),
        (
            "16 bits",
            Image.fromarray(np.random.default_rng(0).integers(0, 65536, (64, 64), np.uint16)),
            {},
        ),
    ],
)
def test_an_oddity_is_named(encoded, kind, image, options):
    options = {"kind": "PNG", **options}
    facts = check_photo(encoded(image, **options))
    assert (facts.fault, list(facts.figures)) == ("", [kind])


def test_extension_and_orientation(sharp, encoded):
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = check_photo(encoded(sharp, "JPEG", exif=exif, quality=95), "photo.png")
    assert facts.figures == {"wrong extension": 1.0, "turned by EXIF": 6.0}
