"""McNemar's test agrees with counting by hand, its interval with its definition, and its sentence with both."""

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from tl_toolkit.report.paired_test import (
    Z,
    holm,
    images_needed,
    mcnemar_test,
    p_text,
    sign_flip_p,
    tango_interval,
)


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state, and clearing it takes a third of a second a test."""


def answers(both, only_a, only_b, neither):
    counts = both, only_a, only_b, neither
    a, b = (np.repeat(np.array(kind, bool), counts) for kind in ([1, 1, 0, 0], [1, 0, 1, 0]))
    return a, b


def test_counts_and_p_are_those_of_a_textbook():
    found = mcnemar_test(*answers(80, 20, 40, 20))
    assert (found.images, found.both_right, found.only_a, found.only_b, found.both_wrong) == (
        160,
        80,
        20,
        40,
        20,
    )
    tail = sum(math.comb(60, k) for k in range(21)) / 2**60
    assert found.p_value == pytest.approx(2 * tail, rel=1e-12)
    assert found.difference == 20 / 160
    assert found.is_beyond_chance


@pytest.mark.parametrize(
    ("gained", "lost", "images"), [(40, 20, 160), (12, 2, 50), (0, 1, 44), (3, 3, 20), (9, 0, 30)]
)
def test_an_end_of_the_interval_is_where_the_score_test_just_rejects(gained, lost, images):
    """With the likelihood maximised by number, not by Tango's formula."""
    for end in tango_interval(gained, lost, images):

        def minus_likelihood(share, end=end):
            shares = share + end, share, 1 - 2 * share - end
            counts = gained, lost, images - gained - lost
            return -sum(n * math.log(max(s, 1e-300)) for n, s in zip(counts, shares, strict=True))

        bounds = max(0.0, -end), min((1 - end) / 2, 1.0)
        share = minimize_scalar(
            minus_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
        ).x
        error = math.sqrt((2 * share + end - end**2) / images)
        assert abs((gained - lost) / images - end) / error == pytest.approx(Z, rel=1e-3)


def test_the_interval_is_known_where_all_pairs_agree_or_differ():
    low, high = tango_interval(0, 0, 10)
    assert -low == pytest.approx(high) == pytest.approx(Z**2 / (10 + Z**2))
    assert tango_interval(5, 0, 5)[1] == 1
    assert tango_interval(0, 5, 5)[0] == -1


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 200))
def test_swapping_the_two_mirrors_everything(only_a, only_b, others):
    a, b = answers(others, only_a, only_b, 0)
    one, other = mcnemar_test(a, b), mcnemar_test(b, a)
    assert one.p_value == other.p_value
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-9)
    assert one.interval[0] <= one.difference <= one.interval[1]
    assert one.images_needed == other.images_needed


def test_images_needed_find_the_difference_in_four_cases_of_five():
    images = images_needed(60, 40, 1000)
    rng = np.random.default_rng(0)
    found = 0
    for gained, lost, _ in rng.multinomial(images, [0.06, 0.04, 0.9], 800):
        found += binomtest(gained, gained + lost).pvalue < 0.05
    assert 0.76 < found / 800 < 0.84


def test_what_is_not_found_takes_more_images_than_there_are():
    for images, gained in itertools.product((20, 200), range(1, 16)):
        for lost in range(gained):
            if gained + lost > images or binomtest(gained, gained + lost).pvalue < 0.05:
                continue
            assert images_needed(gained, lost, images) > images


def test_sentences_say_who_is_right_more_often_or_what_it_would_take():
    assert str(mcnemar_test(*answers(580, 15, 40, 21))) == (
        "B is right on 25 more of 656 test images than A (3.8 points, 95% interval 1.7 to 6.2; McNemar p = 0.001)."
    )
    assert str(mcnemar_test(*answers(580, 40, 15, 21))).startswith("A is right on 25 more of 656")
    assert str(mcnemar_test(*answers(580, 18, 30, 28))) == (
        "These 656 test images cannot tell the two apart (McNemar p = 0.11): it would take about 1,800 to find a "
        "difference of this size."
    )
    same = mcnemar_test(*answers(5, 0, 0, 0))
    assert str(same).endswith("both have as many right.")
    assert (same.p_value, same.images_needed, same.is_beyond_chance) == (1.0, None, False)
    assert [p_text(p, "= ") for p in (1e-9, 0.0012, 0.0996, 0.5)] == [
        "< 0.001",
        "= 0.0012",
        "= 0.10",
        "= 0.50",
    ]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=10))
def test_flips_of_signs_are_those_counted_one_by_one(differences):
    seen = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    expected = np.mean([total >= seen for total in sums])
    assert sign_flip_p(np.array(differences)) == pytest.approx(expected, abs=1e-12)


def test_with_one_seed_flips_of_signs_are_mcnemars_test():
    a, b = answers(100, 7, 19, 30)
    assert sign_flip_p(b.astype(int) - a) == pytest.approx(mcnemar_test(a, b).p_value, rel=1e-9)
    # The same answers three times are no more images.
    assert sign_flip_p(3 * (b.astype(int) - a)) == pytest.approx(mcnemar_test(a, b).p_value)


def test_holm_is_that_counted_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
