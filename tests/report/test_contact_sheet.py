"""The sheet has every image once, at its place, and stays readable whatever the classes are called."""

import numpy as np
import pytest
from PIL import Image

from tl_toolkit.report.contact_sheet import CELL, GAP, plot_contact_sheet
from tl_toolkit.report.plots import DOTS_PER_INCH
from tl_toolkit.report.run_plots import ContactSheet, SheetRow

pytestmark = pytest.mark.usefixtures("plots")
COLOURS = np.array(
    [[255, 0, 0], [0, 160, 0], [0, 0, 255], [250, 200, 0], [0, 200, 250], [200, 0, 200]]
)


def sheet(path, rows=2, columns=3, names=("cat", "dog"), captions=()):
    """Draws cells of one colour each, and returns its pixels."""
    colours = COLOURS[: rows * columns].reshape(rows, columns, 1, 1, 3)
    images = np.broadcast_to(colours, (rows, columns, 8, 8, 3)).astype(np.uint8)
    drawn = [SheetRow(n, i, [captions] * columns) for n, i in zip(names, images, strict=True)]
    column_names = ["evaluation", "epoch 1", "epoch 2"][:columns]
    plot_contact_sheet(ContactSheet(drawn, column_names, "Title"), path)
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def place(pixels, colour):
    """Top, left, height and width of a colour, in inches."""
    rows, columns = np.nonzero((np.abs(pixels - colour) < 3).all(-1))
    box = [rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1]
    assert len(rows) == box[2] * box[3]  # nothing is drawn over it
    return np.array(box) / DOTS_PER_INCH


@pytest.mark.parametrize("captions", [[], [(0.7, "cat"), (0.3, "a class with a long name")]])
def test_every_image_is_at_its_place(tmp_path, captions):
    pixels = sheet(tmp_path / "sheet.png", captions=captions)
    places = np.array([place(pixels, colour) for colour in COLOURS]).reshape(2, 3, 4)
    pixel = 1.5 / DOTS_PER_INCH
    np.testing.assert_allclose(places[..., 2:], CELL, atol=pixel)
    np.testing.assert_allclose(np.diff(places[..., 1], axis=1), CELL + GAP, atol=pixel)
    np.testing.assert_allclose(np.ptp(places[..., 0], axis=1), 0, atol=pixel)
    below = np.diff(places[..., 0], axis=0) - CELL
    assert (below > (0.2 if captions else 0.04)).all()


def test_the_sheet_of_images_that_are_not_augmented_is_narrow(tmp_path):
    one = sheet(tmp_path / "one.png", columns=1)
    three = sheet(tmp_path / "three.png", columns=3)
    assert one.shape[0] == three.shape[0]
    assert three.shape[1] - one.shape[1] == pytest.approx(2 * (CELL + GAP) * DOTS_PER_INCH, abs=2)


@pytest.mark.parametrize(
    "name", ["$x$ and \\frac{", "a_name_without_any_space" * 4, "", "two\nlines"]
)
def test_any_name_of_a_class_is_drawn_and_takes_little_room(tmp_path, name):
    pixels = sheet(tmp_path / "sheet.png", names=(name, "dog"), captions=[(1.0, name)])
    assert pixels.shape[1] < (3 * (CELL + GAP) + 2.2) * DOTS_PER_INCH
    for colour in COLOURS:
        place(pixels, colour)
