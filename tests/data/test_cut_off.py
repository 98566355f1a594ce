"""What a centre crop cuts off is said where it is much, of many photos, and nobody has chosen it."""

import numpy as np
import pytest
from PIL import Image

from tl_toolkit.data.cut_off import note_on_cut_off, note_on_images
from tl_toolkit.data.dataset import ArrayImages, FileImages


@pytest.mark.parametrize(
    ("shapes", "wide"),
    [
        ([(100, 100)] * 10, None),
        ([(75, 100)] * 10, None),  # 4:3 loses just a quarter
        ([(74, 100)] * 1 + [(100, 100)] * 9, 1),
        ([(74, 100)] * 1 + [(100, 100)] * 10, None),  # less than a tenth of the photos
        ([(50, 100)] * 4 + [(90, 100)] * 2, 4),
        ([], None),
    ],
)
def test_a_note_where_a_tenth_of_the_photos_lose_over_a_quarter(shapes, wide):
    shorter, longer = np.array(shapes, np.int64).reshape(-1, 2).T
    note = note_on_cut_off(shorter, longer)
    assert (note is None) == (wide is None)
    if note is not None:
        assert note.startswith(f"{wide} of {len(shapes)} photos that were looked at lose more")


def test_files_are_looked_at_by_their_headers_lying_or_standing(tmp_path):
    for number, size in enumerate([(40, 20), (20, 40), (30, 30)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"no photo")
    with (tmp_path / "0.png").open("r+b") as cut:
        cut.truncate(60)  # behind the header
    images = FileImages(np.array(sorted(map(str, tmp_path.iterdir()))))
    note = note_on_images(images)
    assert note is not None
    assert note.startswith("2 of 3 photos")
    assert note_on_images(images.take(np.array([2]))) is None
    assert note_on_images(images.take(np.array([], int))) is None
    assert note_on_images(ArrayImages(np.zeros((4, 8, 32, 3), np.uint8))) is None
