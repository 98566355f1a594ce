"""The photos of `frontier.py` and their splits; the clock of its processes."""

import sys
import time

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def data(import_benchmark):
    return import_benchmark("frontier_data")


def test_a_split_parts_all_classes_alike_and_is_the_seeds(data):
    labels = ["a"] * 60 + ["b"] * 40
    photos = data.Photos("some", lambda _: [], test=20, learn=50)
    parts = data.split(labels, photos, seed=1)
    names = np.array(labels)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [40, 10, 20]
    for part in (parts.train, parts.validation, parts.test):
        assert (names[part] == "a").mean() == pytest.approx(0.6)
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert len(set(together)) == 70
    again, other = data.split(labels, photos, seed=1), data.split(labels, photos, seed=2)
    np.testing.assert_array_equal(again.train, parts.train)
    assert set(other.test) != set(parts.test)


def test_images_become_jpeg_on_white_once(data, tmp_path):
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:, 4:] = (0, 0, 0, 255)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    files = [(tmp_path / "clear.png", "a")]
    ((path, name),) = data.as_jpeg(files, tmp_path / "made")
    pixels = np.asarray(Image.open(path))
    assert (name, pixels.shape) == ("a", (8, 8, 3))
    assert pixels[:, :3].min() > 240
    assert pixels[:, 5:].max() < 15
    written = path.stat().st_mtime_ns
    assert data.as_jpeg(files, tmp_path / "made") == [(path, "a")]
    assert path.stat().st_mtime_ns == written


def test_the_table_has_every_image_of_the_split(data, tmp_path, monkeypatch):
    files = [(tmp_path / f"{number}.jpg", "ab"[number % 2]) for number in range(20)]
    monkeypatch.setitem(data.PHOTOS, "some", data.Photos("some", lambda _: [], test=4))
    photos = data.split_photos("some", 0, files, tmp_path)
    first, *rows = photos.table.read_text().splitlines()
    assert first == "file,label,split"
    assert [row.rpartition(",")[2] for row in rows] == ["train"] * 13 + ["validation"] * 3 + [
        "test"
    ] * 4
    path, label = files[photos.parts.train[0]]
    assert rows[0] == f"{path},{label},train"


def test_the_clock_leaves_out_what_it_is_told(import_benchmark, tmp_path, monkeypatch, capsys):
    worker = import_benchmark("frontier_worker")
    job = worker.Job({}, 0, 8, ["a", "b"], [], [("x.jpg", 0)], [("y.jpg", 1)], "t", "w", 1.0)
    job.save(tmp_path / "job.json")
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "job.json"), str(time.monotonic() - 100)])
    read, clock = worker.begin()
    assert read.class_names == ["a", "b"]
    assert [tuple(image) for image in read.test] == job.test
    wall, _ = clock.read()
    assert wall == pytest.approx(100, abs=5)
    clock.leave_out(90, 0)
    with clock.paused():
        time.sleep(0.6)
    assert clock.read()[0] == pytest.approx(wall - 90, abs=0.5)
    worker.tell("1 epoch", (1.0, 2.0), np.zeros((1, 2)), [[0.0, 1.0]], is_last=True)
    assert capsys.readouterr().out.startswith(worker.MARK)
