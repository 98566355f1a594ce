"""Points of accuracy against seconds: which lie above our curve, what is kept, what is written of them."""

import json
import pathlib
import xml.etree.ElementTree

import pytest

SPEED = pathlib.Path(__file__).parents[1] / "docs" / "speed.md"
MACHINE = "this machine"


@pytest.fixture
def frontier(import_benchmark):
    return import_benchmark("frontier_points")


@pytest.fixture
def page(import_benchmark):
    return import_benchmark("frontier_page")


@pytest.fixture
def make(frontier):
    """Makes a point whose first `correct` of 100 test images are right."""

    def point(contender, seconds, correct, validation=0.8, setting="end", **fields):
        return frontier.Point(
            data=fields.pop("data", "stamps"),
            contender=contender,
            process=fields.pop("process", contender),
            setting=setting,
            seeds=fields.pop("seeds", (0,)),
            seconds=seconds,
            cpu_seconds=2 * seconds,
            validation=validation,
            validation_loss=fields.pop("validation_loss", 0.5),
            log_loss=0.6,
            right="1" * correct + "0" * (100 - correct),
            is_ours=fields.pop("is_ours", False),
            **fields,
        )

    return point


def test_a_peers_point_above_our_curve_is_a_finding(frontier, make):
    points = [
        make("new head", 10, 80, is_ours=True),
        make("everything", 60, 95, 0.7, is_ours=True),  # not what validation selects
        make("guide", 5, 20, 0.2, "1 epoch"),
        make("guide", 20, 80, setting="2 epochs"),  # as good as ours: not above
        make("guide", 90, 99, 0.9, "3 epochs"),
        make("other", 20, 81),
        make("other", 30, 99, data="solar cells"),
        make("new head", 20, 99, data="solar cells", is_ours=True),
    ]
    assert [str(finding) for finding in frontier.findings(points)] == [
        "stamps, 5 s: guide, 1 epoch, has 0.200, and nothing of ours is finished by then",
        "stamps, 20 s: other, end, has 0.810, ours (new head, end, 10 s) 0.800; not beyond chance (McNemar p = 1)",
        "stamps, 90 s: guide, 3 epochs, has 0.990, ours (new head, end, 10 s) 0.800; beyond chance (McNemar p = 3.8e-06)",
    ]


def test_points_of_other_splits_are_not_compared(frontier, make):
    points = [
        make("new head", 10, 80, is_ours=True, seeds=(0, 1)),
        make("guide", 20, 79, seeds=(0,)),
    ]
    (finding,) = frontier.findings(points)
    assert finding.ours is None


def test_our_curve_follows_the_validation_images(frontier, make):
    head = make("new head", 10, 80, is_ours=True)
    sure = make("all blocks", 20, 70, is_ours=True, validation_loss=0.4)
    worse = make("last layers", 30, 99, 0.7, is_ours=True)
    tied = make("auto", 40, 90, is_ours=True, validation_loss=0.4)
    best = make("everything", 50, 85, 0.9, is_ours=True)
    peer = make("guide", 15, 100, 1.0)
    assert frontier.our_curve([best, peer, tied, worse, sure, head]) == [head, sure, best]
    assert frontier.best_by([head, sure], 9) is None


def test_finished_points_survive_a_line_that_was_cut_short(frontier, make, tmp_path):
    path = tmp_path / "kept" / "points.jsonl"
    first, second = make("guide", 10, 80, is_last=False), make("other", 10, 80)
    assert frontier.read_points(path, [MACHINE]) == []
    frontier.add_point(path, MACHINE, first, is_first=True)
    with path.open("a") as file:
        file.write('{"setting": "this mach')
    frontier.add_point(path, MACHINE, second, is_first=True)
    points = frontier.read_points(path, [MACHINE, "a second machine"])
    assert points == [first, second]
    assert frontier.finished_runs(points) == {second.run}
    assert frontier.read_points(path, ["another machine"]) == []


def test_a_process_that_runs_again_replaces_its_points(frontier, make, tmp_path):
    path = tmp_path / "points.jsonl"
    for seconds, setting in ((10, "1 epoch"), (20, "2 epochs")):
        point = make("guide", seconds, 80, setting=setting, is_last=False)
        frontier.add_point(path, MACHINE, point, is_first=setting == "1 epoch")
    assert [p.seconds for p in frontier.read_points(path, [MACHINE])] == [10, 20]
    again = make("guide", 12, 80, setting="1 epoch", is_last=False)
    frontier.add_point(path, MACHINE, again, is_first=True)
    assert frontier.read_points(path, [MACHINE]) == [again]


def test_splits_are_pooled(frontier, make):
    points = [
        make("guide", 30, 90, 0.6, seeds=(1,)),
        make("guide", 10, 80, 0.8, seeds=(0,)),
        make("guide", 40, 70, setting="2 epochs"),
    ]
    both, alone = frontier.pooled(points)
    assert (both.seeds, both.seconds, both.cpu_seconds, both.validation) == ((0, 1), 20, 40, 0.7)
    assert (both.right, both.accuracy) == (points[1].right + points[0].right, 0.85)
    assert both.interval == pytest.approx((0.7939, 0.8929), abs=1e-4)
    assert alone == points[2]


def test_the_section_has_table_findings_and_who_is_missing(page, make):
    points = [
        make("new head", 10, 80, is_ours=True),
        make("last layers", 20, 80, 0.7, is_ours=True),
        make("guide", 90, 79, setting="2 epochs"),
    ]
    text = page.section(points, ["fastai (no PyTorch)"], "some processor.")
    assert (
        "| stamps | **new head** | end | 10.0 | 20.0 | 0.800 | 0.711–0.867 | 0.600 | 0.800 | 1 |"
        in text
    )
    assert "| stamps | last layers | end | 20.0 |" in text
    assert "| stamps | guide | 2 epochs | 90.0 |" in text
    assert page.NONE_ABOVE in text
    assert "\nLeft out: fastai (no PyTorch).\n" in text
    assert text.endswith("some processor.")
    above = page.section([*points, make("other", 5, 10)], [], "some processor.")
    assert (
        "\n- stamps, 5 s: other, end, has 0.100, and nothing of ours is finished by then.\n"
        in above
    )
    assert page.NONE_ABOVE not in above
    assert page.section([], [], "").startswith("Not measured yet")


def test_the_section_stands_between_its_markers(page, import_benchmark):
    with_section = import_benchmark("marked_section").with_section
    before, after = "# Speed\n\n<!-- a: begin -->\n", "\n<!-- a: end -->\n\nmore\n"
    assert with_section(f"{before}old{after}", "a", "new") == f"{before}new{after}"
    with pytest.raises(ValueError, match="the page must have <!-- a: begin -->"):
        with_section("# Speed\n", "a", "new")
    assert with_section(SPEED.read_text(), page.SECTION, "new").count("\nnew\n") == 1


@pytest.mark.filterwarnings("error")
def test_the_plot_is_the_same_each_time_and_says_whose_the_lines_are(page, make, plots, tmp_path):
    points = [make("new head", 10, 80, is_ours=True), make("a < b", 90, 99, 0.9)]
    for name in ("one.svg", "two.svg"):
        page.write_plot(points, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    drawn = xml.etree.ElementTree.parse(tmp_path / "one.svg")
    texts = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert texts.count("test accuracy") == 1
    assert texts.count("a < b") == 1
    assert "tl_toolkit, chosen by validation images" in texts
    page.write_plot([], tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_what_a_process_tells_is_a_point(import_benchmark):
    run, worker = (import_benchmark(f"frontier_{name}") for name in ("run", "worker"))
    everyone = import_benchmark("frontier_contenders").all_contenders()
    (contender,) = (c for c in everyone if c.title == "fastai, 5 epochs")
    job = worker.Job(
        {}, 3, 160, ["a", "b"], [], [("x", 0), ("y", 1)], [("z", 1)] * 3, "", "", 600.0
    )
    line = {
        "setting": "fine_tune(5)",
        "spent": [10.5, 20.5],
        "validation": [[0.0, 0.0], [0.0, 2.0]],
        "test": [[0.0, 1.0], [1.0, 0.0], [-1.0, 5.0]],
        "is_last": True,
    }
    point = run.point_told(worker.MARK + json.dumps(line), contender, "stamps", job)
    assert (point.contender, point.process, point.setting) == (
        "fastai",
        contender.title,
        "fine_tune(5)",
    )
    assert (point.right, point.validation, point.seeds) == ("101", 1.0, (3,))
    assert point.log_loss == pytest.approx((0.31326 + 1.31326 + 0.00248) / 3, abs=1e-4)
    assert not point.is_ours
    with pytest.raises(RuntimeError, match=r"test has answers of shape \(2, 2\)"):
        run.point_told(
            worker.MARK + json.dumps(line | {"test": line["test"][:2]}), contender, "stamps", job
        )
