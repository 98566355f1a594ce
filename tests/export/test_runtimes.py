"""The script that loads exports: it imports neither this package nor TensorFlow, and times whole batches."""

import ast
import itertools
import pathlib
import time

import numpy as np
import pytest

from tl_toolkit.export import runtimes


def test_nothing_is_imported_at_its_start_but_numpy_and_pythons_own():
    tree = ast.parse(pathlib.Path(runtimes.__file__).read_text())
    modules = [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert "numpy" in modules
    assert not [name for name in modules if name.startswith(("tl_toolkit", "tensorflow"))]


def test_a_speed_is_the_median_call_after_a_first_one(monkeypatch):
    asked = []
    # The calls take 9, 1, 1, 1 and 1 seconds.
    moments = itertools.chain([0, 9, 9, 10, 10, 11, 11, 12, 12, 13])
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))
    frames = np.zeros((3, 8, 8, 3), np.float32)
    speed = runtimes.images_per_second(lambda batch: asked.append(batch.shape), frames, 4, 1.0)
    assert speed == pytest.approx(4.0)
    assert asked == [(4, 8, 8, 3)] * 6
