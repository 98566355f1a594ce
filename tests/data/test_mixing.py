"""Mixed examples: λ of one image and the rest of another, and labels in the same shares."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tl_toolkit.catalog import Augmentation
from tl_toolkit.data.draws import draw_key
from tl_toolkit.data.mixing import draw_partner, draw_share, mix_images

SIZE = 20
NEITHER = Augmentation(area=(1.0, 1.0), aspect_ratio=(1.0, 1.0), shift=None, mirror=False)
MIXUP = dataclasses.replace(NEITHER, mixup=0.4)
CUTMIX = dataclasses.replace(NEITHER, cutmix=1.0)
BOTH = dataclasses.replace(NEITHER, mixup=0.4, cutmix=1.0)


def for_each(function, count):
    """What a function of a key makes of many keys."""
    made = tf.data.Dataset.range(count).map(lambda n: function(draw_key(0, 1, n)), 2).batch(count)
    return next(made.as_numpy_iterator())


def two_images():
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 3.0])
def test_shares_follow_the_beta_distribution(alpha):
    shares = for_each(lambda key: draw_share(alpha, key), 500)
    assert shares.dtype == np.float32
    assert 0 <= shares.min() <= shares.max() <= 1
    # Where float32 has no number between a share and 1, several are equal; elsewhere the test is exact.
    assert (
        scipy.stats.kstest(shares, scipy.stats.beta(alpha, alpha).cdf).pvalue > 1e-3 or alpha < 0.1
    )
    assert abs(shares.mean() - 0.5) < 4 * 0.5 / np.sqrt(500)


def test_mixup_is_the_weighted_mean_of_the_pixels():
    first, second = two_images()
    views, shares = for_each(lambda key: mix_images(first, second, MIXUP, key), 50)
    for view, share in zip(views, shares, strict=True):
        np.testing.assert_array_equal(view, share * first + (np.float32(1) - share) * second)
    assert np.ptp(shares) > 0.9


def test_cutmix_pastes_one_rectangle_and_counts_its_pixels():
    first, second = two_images()
    views, shares = for_each(lambda key: mix_images(first, second, CUTMIX, key), 200)
    pasted = (views == second).all(-1)
    assert ((views == first).all(-1) == ~pasted).all()
    np.testing.assert_allclose(shares, 1 - pasted.mean((1, 2)), atol=1e-6)
    rows, columns = pasted.any(2).sum(1), pasted.any(1).sum(1)
    np.testing.assert_array_equal(pasted.sum((1, 2)), rows * columns)
    assert pasted.any(0).all()  # every place is pasted over at times
    # Inside the image a rectangle is a square, and those at the border are cut.
    inner = ~(pasted[:, [0, -1]].any((1, 2)) | pasted[:, :, [0, -1]].any((1, 2)))
    assert inner.sum() > 20
    assert np.abs(rows - columns)[inner].max() <= 1


@pytest.mark.slow
def test_with_both_half_are_blended_and_half_are_pasted():
    first, second = two_images()
    views, shares = for_each(lambda key: mix_images(first, second, BOTH, key), 400)
    only_blended = for_each(lambda key: mix_images(first, second, MIXUP, key), 400)[0]
    only_pasted = for_each(lambda key: mix_images(first, second, CUTMIX, key), 400)[0]
    blended = (views == only_blended).all((1, 2, 3))
    assert (blended | (views == only_pasted).all((1, 2, 3))).all()
    assert abs(blended.mean() - 0.5) < 4 * 0.5 / np.sqrt(400)
    assert 0 <= shares.min() <= shares.max() <= 1


def test_a_partner_is_any_other_image_of_the_epoch():
    order = tf.constant([4, 0, 7, 2, 9], tf.int64)
    drawn = for_each(lambda key: draw_partner(tf.constant(7, tf.int64), order, key), 400)
    assert set(drawn) == {4, 0, 2, 9}
    # The next one in the epoch's order stands in for the image itself.
    expected = {4: 80, 0: 80, 2: 160, 9: 80}
    for position, count in expected.items():
        assert abs((drawn == position).sum() - count) < 4 * np.sqrt(count)


def test_an_image_alone_is_its_own_partner():
    one = tf.constant([3], tf.int64)
    assert draw_partner(tf.constant(3, tf.int64), one, draw_key(0, 1)) == 3
