"""The benchmarks' harness: rounds, ratios and their range; and that every file can run what it names."""

import ast
import importlib
import pathlib
import re
import subprocess
import sys

import pytest
import tensorflow as tf

from tl_toolkit.experiments import train_and_validate

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
FILES = sorted(path.stem for path in FOLDER.glob("*.py"))

FAKE = f"""
import os, pathlib, sys
sys.path.insert(0, {str(FOLDER)!r})
from harness import Benchmark, Comparison, main

COUNT = pathlib.Path(__file__).with_name("count")

def ours():
    turns = len(COUNT.read_text()) if COUNT.exists() else 0
    COUNT.write_text("x" * (turns + 1))
    return [2.0, 4.0, 1.0][turns]

def peer():
    assert "REMOVED" not in os.environ
    return {{"x": float(os.environ["FIGURE"])}}

def absent():
    import no_such_package

BENCHMARK = Benchmark(
    "Fake", "seconds", {{"ours": ours, "peer": peer, "absent": absent}},
    (Comparison("peer", "ours", "peer: x", 2), Comparison("nobody", "ours", "absent", 2)),
    {{"peer": {{"FIGURE": "8", "REMOVED": None}}}},
)
if __name__ == "__main__":
    main(BENCHMARK, __file__)
"""


@pytest.fixture
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in (*FILES, "fake"):
        sys.modules.pop(name, None)


def test_cases_run_in_turn_and_a_ratio_is_of_one_round(on_path, tmp_path, monkeypatch):
    monkeypatch.setenv("REMOVED", "1")
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path))
    harness, fake = importlib.import_module("harness"), importlib.import_module("fake")
    figures = harness.measure(fake.BENCHMARK, str(tmp_path / "fake.py"))
    assert figures == {"ours": [2, 4, 1], "peer: x": [8, 8, 8]}
    page = harness.render(fake.BENCHMARK, figures)
    assert "| ours | 2.000 | 1.000–4.000 |" in page
    assert "| absent | not installed | – |" in page
    assert "| peer | 4.00× | 2.00–8.00× | ≥ 2× |" in page
    assert "nobody" not in page


def test_a_case_that_fails_is_an_error(on_path, tmp_path, monkeypatch):
    monkeypatch.delenv("FIGURE", raising=False)
    (tmp_path / "fake.py").write_text(FAKE.replace('"FIGURE": "8", ', ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    harness, fake = importlib.import_module("harness"), importlib.import_module("fake")
    with pytest.raises(RuntimeError, match="KeyError: 'FIGURE'"):
        harness.measure(fake.BENCHMARK, str(tmp_path / "fake.py"))


def test_every_benchmark_compares_cases_that_it_has(on_path):
    names = importlib.import_module("run").NAMES
    shared = {"harness", "cases", "peers", "run", "torch_resnet", "gpu_check"}
    assert set(names) == set(FILES) - shared
    for name in names:
        benchmark = importlib.import_module(name).BENCHMARK
        for comparison in benchmark.comparisons:
            names = {name.partition(": ")[0] for name in (comparison.ours, comparison.peer)}
            assert names <= set(benchmark.cases)
        assert set(benchmark.environment) <= set(benchmark.cases)


@pytest.mark.parametrize("name", FILES)
def test_what_a_benchmark_imports_from_the_package_exists(name):
    """Its functions import as late as they can, so that importing the file alone proves nothing."""
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tl_toolkit"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.slow
def test_the_warm_cache_is_timed_from_the_model_to_the_first_step(
    on_path, photo_recipe, tmp_path, monkeypatch
):
    benchmark = importlib.import_module("warm_cache")
    monkeypatch.setattr(train_and_validate, "prepare", train_and_validate.prepare)  # put back
    monkeypatch.setattr(benchmark, "FOLDER", tmp_path)
    monkeypatch.setattr(
        benchmark, "photo_recipe", lambda *_, **fields: photo_recipe.replace(**fields)
    )
    assert 0 < benchmark.seconds_to_first_step("new_head") < 60


@pytest.mark.slow
def test_the_gpu_check_can_be_rehearsed():
    rehearsal = subprocess.run(
        [sys.executable, FOLDER / "gpu_check.py", "--rehearse"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rehearsal.returncode == 0, rehearsal.stderr
    apart = [float(number) for number in re.findall(r"a step is (\S+) from", rehearsal.stdout)]
    assert len(apart) == 2
    assert apart[0] == 0
    assert 0 < apart[1] < 1e-4
    assert rehearsal.stdout.rstrip().endswith("all agree")


def test_the_gpu_check_says_where_there_is_no_gpu(on_path, monkeypatch, capsys):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    assert importlib.import_module("gpu_check").main(rehearse=False) == 1
    assert capsys.readouterr().err == "TensorFlow sees no GPU: nothing was checked.\n"
