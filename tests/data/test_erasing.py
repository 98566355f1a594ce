"""A rectangle of noise in as many images as asked for, inside them, of the paper's sizes; nothing else changes."""

import numpy as np
import pytest
import tensorflow as tf

from tl_toolkit.data.draws import draw_key
from tl_toolkit.data.erasing import erase_rectangle

SIZE, COUNT = 40, 300


def erased(share, seed=0, size=SIZE):
    """Views of an image of -1, which is no noise: float32[COUNT, size, size, 3]."""
    pixels = tf.fill((size, size, 3), -1.0)
    views = tf.data.Dataset.range(COUNT).map(
        lambda n: erase_rectangle(pixels, share, draw_key(seed, 1, n)), 2
    )
    return next(views.batch(COUNT).as_numpy_iterator())


def test_what_is_erased_is_one_rectangle_of_noise_of_the_papers_sizes():
    views = erased(1.0)
    holes = (views >= 0).all(-1)
    assert ((views >= 0).any(-1) == holes).all()
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    np.testing.assert_array_equal(holes.sum((1, 2)), rows * columns)
    for places in (holes.any(2), holes.any(1)):  # contiguous: one start and one end
        assert (
            np.abs(np.diff(np.pad(places, ((0, 0), (1, 1))).astype(int), axis=1)).sum(1) == 2
        ).all()
    areas, ratios = rows * columns / SIZE**2, rows / columns
    assert 0.01 < areas.min() < 0.04
    assert 0.36 < areas.max() < 0.43
    assert 0.2 < ratios.min() < 0.4
    assert 2.5 < ratios.max() < 5
    noise = views[holes]
    assert (noise.min(), noise.max()) == (0, 255)
    assert (noise == np.round(noise)).all()
    assert noise.mean() == pytest.approx(127.5, abs=1)


def test_every_place_of_the_image_may_be_erased():
    times = (erased(1.0) >= 0).all(-1).sum(0)
    assert times.min() >= 1


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_as_many_images_are_erased_as_asked_for(share):
    views = erased(share)
    changed = (views >= 0).any((1, 2, 3)).mean()
    assert abs(changed - share) <= 4 * np.sqrt(share * (1 - share) / COUNT)


def test_the_same_key_erases_the_same_and_another_something_else():
    one, same, other = erased(1.0)[:20], erased(1.0)[:20], erased(1.0, seed=1)[:20]
    np.testing.assert_array_equal(one, same)
    assert (one != other).any((1, 2, 3)).all()
