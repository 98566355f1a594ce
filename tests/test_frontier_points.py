"""Points of accuracy against seconds: which lie above our curve, what is kept, what is drawn."""

import importlib
import pathlib
import xml.etree.ElementTree

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def frontier(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("frontier_points")


def point(frontier, contender, seconds, correct, validation, step="end", is_ours=False):
    return frontier.Point(
        "photos", contender, 0, step, seconds, 2 * seconds, validation, correct, 100, is_ours
    )


def test_a_peers_point_above_our_curve_is_a_finding(frontier):
    points = [
        point(frontier, "probe", 10, 80, 0.8, is_ours=True),
        point(frontier, "full", 60, 95, 0.7, is_ours=True),  # not what validation selects
        point(frontier, "guide", 5, 20, 0.2, "epoch 1"),
        point(frontier, "guide", 20, 80, 0.8, "epoch 2"),  # as good as ours: not above
        point(frontier, "guide", 90, 99, 0.9, "epoch 3"),
        point(frontier, "other", 20, 81, 0.8),
    ]
    assert frontier.findings(points) == [
        "photos, seed 0, 5 s: guide (epoch 1) has 0.200, and nothing of ours is finished",
        "photos, seed 0, 20 s: other (end) has 0.810, ours (probe, end) 0.800; the intervals overlap",
        "photos, seed 0, 90 s: guide (epoch 3) has 0.990, ours (probe, end) 0.800; the intervals are apart",
    ]


def test_finished_points_survive_a_line_that_was_cut_short(frontier, tmp_path):
    path = tmp_path / "points.jsonl"
    first, second = (point(frontier, name, 10, 80, 0.8) for name in ("guide", "other"))
    assert frontier.read(path) == []
    frontier.add(path, [first])
    with path.open("a") as file:
        file.write('{"data": "pho')
    frontier.add(path, [second])
    points = frontier.read(path)
    assert points == [first, second]
    assert frontier.is_finished(points, "photos", "other", 0)
    assert not frontier.is_finished(points, "photos", "other", 1)


def test_the_interval_is_wilsons_and_the_plot_is_well_formed(frontier):
    points = [
        point(frontier, "probe", 10, 80, 0.8, is_ours=True),
        point(frontier, "a < b", 90, 99, 0.9),
    ]
    assert points[0].interval == pytest.approx((0.7112, 0.8666), abs=1e-4)
    svg = xml.etree.ElementTree.fromstring(frontier.plot(points, "photos"))
    marks = [e for e in svg.iter() if e.tag.endswith("circle")]
    assert [float(mark.get("cx")) for mark in marks] == [60, 510]
    assert "| photos | a < b | 0 | end | 90.0 | 180.0 | 0.900 | 0.990 |" in frontier.table(points)
