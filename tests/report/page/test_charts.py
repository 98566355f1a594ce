"""Charts as SVG: where points stand, what axes say, and that names stay text."""

import math
import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tl_toolkit.report.page.interval_chart import IntervalRow, interval_chart
from tl_toolkit.report.page.svg import MOST_POINTS, SHAPES, Scale, limits, marker, path_of, thinned
from tl_toolkit.report.page.xy_chart import Axis, Series, xy_chart

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)


def test_a_scale_goes_from_end_to_end_and_no_further():
    scale = Scale(0, 10, 100, 200)
    assert [scale(v) for v in (0, 2.5, 10, 11, -1)] == [100, 125, 200, 200, 100]
    log = Scale(1, 100, 0, 10, is_log=True)
    assert log(10) == pytest.approx(5)


def test_ticks_are_round_and_have_no_more_decimals_than_their_step():
    assert [text for _, text in Scale(0, 1, 0, 1, is_percent=True).ticks()] == [
        "0%", "20%", "40%", "60%", "80%", "100%",
    ]  # fmt: skip
    texts = [text for _, text in Scale(0.9, 0.965, 0, 1, is_percent=True).ticks()]
    assert len(texts) == len({*texts})
    assert [text for _, text in Scale(1, 3, 0, 1, is_whole=True).ticks()] == ["1", "2", "3"]
    assert [text for _, text in Scale(1, 30, 0, 1, is_log=True).ticks()] == [
        "1",
        "2",
        "5",
        "10",
        "20",
    ]
    assert "1e-6" in [text for _, text in Scale(1e-6, 1e-1, 0, 1, is_log=True).ticks()]


@pytest.mark.parametrize("value", [0.9972222222222221, 1e-15, 3.0, 1234.5])
@pytest.mark.parametrize("is_log", [False, True])
def test_values_that_differ_in_their_last_digit_alone_have_ticks(value, is_log):
    """Such as the share that is right, summed in another order in another epoch: a page failed by it."""
    low, high = limits([value, math.nextafter(value, 2 * value)], is_log=is_log)
    ticks = Scale(low, high, 0.0, 100.0, is_log).ticks()
    assert len(ticks) > 1
    assert low < value < high


@given(st.lists(FINITE, min_size=1), st.booleans())
def test_limits_hold_all_values(values, is_log):
    low, high = limits(values, is_log=is_log)
    assert low < high
    assert all(low <= v <= high for v in values if v > 0 or not is_log)


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=400), st.booleans(), st.booleans())
# Values whose room to the left is rounded to 0.
@example([(1.0, 0.0), (sys.float_info.min, 0.0)], True, False)
@example([(1.0, 0.0), (math.ulp(0.0), 0.0)], True, False)
def test_any_values_make_a_chart_within_its_frame(pairs, is_log, is_step):
    x, y = zip(*pairs, strict=True)
    kind = "step" if is_step else "line"
    drawing = xy_chart("any", Axis("x", is_log=is_log), Axis("y"), [Series("s", x, y, kind)])
    (path,) = re.findall(r'd="([^"]+)"', drawing)
    places = [float(number) for number in re.findall(r"-?\d+\.?\d*", path)]
    assert all(0 <= place <= 400 for place in places)


def test_a_long_line_is_thinned_with_both_of_its_ends():
    kept = thinned(10_000)
    assert len(kept) == MOST_POINTS
    assert (kept[0], kept[-1]) == (0, 9_999)
    assert thinned(3).tolist() == [0, 1, 2]


def test_a_step_holds_its_value_until_the_next():
    assert path_of([(0.0, 5.0), (10.0, 1.0)], is_step=True) == "M0 5H10V1"
    assert path_of([(0.0, 5.0), (10.0, 1.0)]) == "M0 5L10 1"


def test_shapes_differ_so_that_colour_is_not_needed():
    assert len({str(marker(n, 0, 0)) for n in range(SHAPES)}) == SHAPES


def test_names_are_text_in_every_chart():
    name = '"><script>alert(1)</script>'
    lines = xy_chart(name, Axis(name), Axis(name), [Series(name, [0, 1], [0, 1], labels=[name])])
    rows = interval_chart(name, name, [IntervalRow(name, 0.5, 0.4, 0.6, text=name)], [(name, 0.3)])
    for drawing in (lines, rows):
        assert "<script" not in drawing
        assert "&lt;script&gt;" in drawing


def test_labels_that_would_lie_on_one_another_are_left_out():
    together = Series("s", [0, 0.001, 1], [0, 0, 1], "points", ["first", "hidden", "last"])
    drawing = xy_chart("c", Axis("x"), Axis("y"), [together])
    assert "first" in drawing
    assert "last" in drawing
    assert "hidden" not in drawing


def test_an_interval_s_ends_stand_at_its_figures():
    drawing = interval_chart(
        "c", "accuracy", [IntervalRow("run", 0.5, 0.25, 0.75)], [("chance", 0.0)]
    )
    whisker = re.search(r'class="whisker" x1="([\d.]+)" x2="([\d.]+)"', drawing)
    low, high = map(float, whisker.groups())
    (chance,) = re.findall(r'class="line reference" x1="([\d.]+)"', drawing)
    # The quarter is a third of the way from nothing to three quarters.
    assert (low - float(chance)) / (high - float(chance)) == pytest.approx(1 / 3, abs=0.01)
