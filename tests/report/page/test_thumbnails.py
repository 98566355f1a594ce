"""Thumbnails: small, whole, upright, and no more than there is room for."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tl_toolkit.data.dataset import ArrayImages, FileImages
from tl_toolkit.report.page.thumbnails import MOST, SIDE, make_thumbnails, small_pixels, webp


@pytest.fixture
def files(tmp_path):
    """A wide JPEG whose EXIF data turn it, a small PNG, and a file that is no photo."""
    ramp = np.linspace(0, 255, 400 * 200).reshape(200, 400).astype(np.uint8)
    turned = Image.fromarray(np.stack([ramp] * 3, axis=-1))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (9, 5), (200, 10, 10)).save(tmp_path / "small.png")
    (tmp_path / "none.jpg").write_bytes(b"\xff\xd8\xffno photo")
    return FileImages(
        np.array([str(tmp_path / n) for n in ("turned.jpg", "small.png", "none.jpg")])
    )


def test_a_photo_is_upright_whole_and_small(files):
    pixels = small_pixels(files, 0)
    assert pixels.shape == (SIDE, SIDE // 2, 3)
    # The ramp's dark top is at the right once it is turned.
    assert pixels[:, -8:].mean() < 40
    assert pixels[:, :8].mean() > 215


def test_a_tiny_photo_keeps_every_pixel(files):
    assert small_pixels(files, 1).shape == (5, 9, 3)
    kept = Image.open(io.BytesIO(webp(small_pixels(files, 1))))
    assert kept.format == "WEBP"
    assert (np.asarray(kept) == [200, 10, 10]).all()


def test_pixels_in_memory_are_shrunk_too():
    images = ArrayImages(np.full((1, 300, 100, 3), 77, np.uint8))
    assert small_pixels(images, 0).shape == (SIDE, round(100 * SIDE / 300), 3)


def test_what_cannot_be_read_or_is_another_photo_is_named(files):
    made = make_thumbnails(files, [0, 1, 2], lambda position: position != 1)
    assert list(made.of) == [0]
    assert made.unreadable == (1, 2)
    assert Image.open(io.BytesIO(base64.b64decode(made.of[0]))).size == (SIDE // 2, SIDE)


def test_the_most_important_ones_get_the_room():
    images = ArrayImages(np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8))
    one = len(make_thumbnails(images, [0], lambda _: True).of[0])
    made = make_thumbnails(images, [5, 3, 1, 0], lambda _: True, room=int(2.5 * one))
    assert list(made.of) == [5, 3]
    assert made.left_out == 2


def test_no_page_has_more_than_can_be_made_in_seconds():
    images = ArrayImages(np.zeros((MOST + 3, 4, 4, 3), np.uint8))
    made = make_thumbnails(images, range(MOST + 3), lambda _: True)
    assert len(made.of) == MOST
    assert made.left_out == 3
