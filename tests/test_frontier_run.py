"""Contenders of `frontier.py`: each in its own process, what was finished is not run again, what cannot run is named."""

import argparse
import pathlib
import sys

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.data.dataset import FileImages, Split

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"
PROGRAM = f"""
import os, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
from frontier_worker import begin, tell
job, clock = begin()
print("what a library prints")
for epochs in (1, 2):
    logits = [[0.0, 1.0]] * len(job.test)
    tell(f"{{epochs}} epochs", clock.read(), logits[:1], logits, epochs == 2)
    if job.options.get("fails"):
        sys.exit("no such weights")
assert os.environ["TL_TOOLKIT_CACHE"].startswith(os.path.dirname(sys.argv[1]))
"""


@pytest.fixture
def run(import_benchmark, tmp_path, monkeypatch):
    module = import_benchmark("frontier_run")
    monkeypatch.setattr(module, "HERE", tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    return module


@pytest.fixture
def points_of(run, import_benchmark, tmp_path):
    """Runs the program above."""
    peers, worker = (import_benchmark(f"frontier_{n}") for n in ("contenders", "worker"))

    def points(options):
        contender = peers.Contender("guide", "program.py", options, "short")
        labelled = [("x.jpg", 1), ("y.jpg", 0)]
        job = worker.Job(options, 0, 8, ["a", "b"], [], labelled[:1], labelled, "", "", 1.0)
        return run.points_of(sys.executable, contender, "stamps", job, tmp_path)

    return points


def test_a_process_tells_its_points(points_of):
    first, second = points_of({})
    assert [p.setting for p in (first, second)] == ["1 epochs", "2 epochs"]
    assert [p.is_last for p in (first, second)] == [False, True]
    assert first.right == "10"
    assert first.process == "guide, short"
    assert 0 < first.seconds <= second.seconds


def test_a_process_that_fails_is_an_error_after_its_points(points_of):
    told = points_of({"fails": True})
    assert next(told).setting == "1 epochs"
    with pytest.raises(RuntimeError, match=r"guide, short on stamps:\n.*no such weights"):
        next(told)


def test_without_its_python_a_peer_cannot_run(import_benchmark, monkeypatch, tmp_path):
    frontier, run = import_benchmark("frontier"), import_benchmark("frontier_run")
    monkeypatch.setattr(run, "machine", lambda: "this machine.")
    settings, missing = frontier.who_can_run(run.Interpreters())
    assert settings["new head"] == settings["Keras guide, workflow"] == "this machine."
    assert "fastai, 1 epoch (--peer-python names no environment with PyTorch)" in missing
    assert len(settings) + len(missing) == len(frontier.all_contenders())
    lacks_fastai = tmp_path / "python"
    lacks_fastai.write_text(
        "#!/bin/sh\necho 'No package metadata was found for fastai' >&2\nexit 1\n"
    )
    lacks_fastai.chmod(0o755)
    _, missing = frontier.who_can_run(run.Interpreters(str(lacks_fastai)))
    assert "fastai, 1 epoch (No package metadata was found for fastai)" in missing


def test_our_contenders_have_the_defaults(import_benchmark, tmp_path):
    ours, worker = import_benchmark("frontier_ours"), import_benchmark("frontier_worker")
    (tmp_path / "weights.tgz").touch()
    for contender in import_benchmark("frontier_contenders").all_contenders():
        if not contender.is_ours:
            continue
        job = worker.Job(contender.options, 3, 160, [], [], [], [], "t.csv", str(tmp_path), 1.0)
        recipe = ours.recipe_of(job)
        default = tl.Recipe(
            data="csv:t.csv",
            strategy=recipe.strategy,
            weights=str(tmp_path / "weights.tgz"),
            image_size=160,
            seed=3,
        )
        assert recipe == default
        assert contender.options["name"] == recipe.strategy.name


def test_our_answers_are_in_the_order_of_the_job(import_benchmark):
    split = Split.of(FileImages(np.array(["b", "a", "c"])), [0, 1, 1])
    logits = np.array([[1.0], [2.0], [3.0]])
    ordered = import_benchmark("frontier_ours").in_order(logits, split, [["a", 1], ["c", 1]])
    np.testing.assert_array_equal(ordered, [[2.0], [3.0]])


def test_an_ended_measurement_goes_on_with_what_is_missing(import_benchmark, monkeypatch, tmp_path):
    frontier, data = import_benchmark("frontier"), import_benchmark("frontier_data")
    point_class = import_benchmark("frontier_points").Point
    files = [(tmp_path / f"{number}.jpg", "ab"[number % 2]) for number in range(20)]
    monkeypatch.setitem(data.PHOTOS, "some", data.Photos("some", lambda _: files, test=4))
    monkeypatch.setattr(frontier, "KEPT", tmp_path)
    monkeypatch.setattr(frontier, "as_jpeg", lambda found, _: found)
    monkeypatch.setattr(frontier, "_provide_weights", lambda _: None)
    started = []

    def points_of(python, contender, data, job, folder):
        started.append((contender.title, job.seed))
        assert pathlib.Path(job.table).parent == folder
        names = {"data": data, "contender": contender.name, "process": contender.title}
        figures = {"seconds": 1.0, "cpu_seconds": 1.0, "validation": 1.0, "validation_loss": 0.0}
        for setting, is_last in (("1 epoch", False), ("2 epochs", True)):
            yield point_class(
                **names,
                **figures,
                setting=setting,
                seeds=(job.seed,),
                log_loss=0.0,
                right="1111",
                is_ours=contender.is_ours,
                is_last=is_last,
            )
            if len(started) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(frontier, "points_of", points_of)
    asked = argparse.Namespace(
        files=tmp_path,
        peer_python=None,
        data=["some"],
        names=["new head", "last layers"],
        splits=2,
        longest=1.0,
        points=tmp_path / "points.jsonl",
    )
    settings = {"new head": "this machine.", "last layers": "this machine."}
    with pytest.raises(KeyboardInterrupt):
        frontier.measure(asked, settings)
    frontier.measure(asked, settings)
    frontier.measure(asked, settings)
    assert started == [
        ("new head", 0),
        ("last layers", 0),
        ("new head", 1),
        ("new head", 1),  # it was ended before its last point
        ("last layers", 1),
    ]
    points = frontier.read_points(asked.points, settings.values())
    assert len(points) == 8
    assert [point.seeds for point in frontier.pooled(points)] == [(0, 1)] * 4
