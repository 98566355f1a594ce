"""Searches and comparisons on a cluster: all processes train every model together, and the chief writes."""

import json

import pytest

import tl_toolkit as tl
from tl_toolkit.devices.launch import launch
from tl_toolkit.experiments.compare import compare
from tl_toolkit.tuning.trials import read_trials

pytestmark = pytest.mark.slow

SCRIPT = """
import os, pathlib, sys
import tl_toolkit as tl
from tl_toolkit.experiments.compare import compare
from tl_toolkit.training import precision
precision.CPU_INFO = pathlib.Path(os.devnull)

folder = pathlib.Path(sys.argv[1])
recipe = tl.Recipe.load(folder / "recipe.json")
result = tl.search(recipe, {"batch_size": [8, 16]}, tuner="random", trials=2, output=folder / "search")
print("result", None if result is None else len(result.trials), flush=True)
recipes = [recipe.replace(strategy=tl.LastLayers("conv3"))]
compare(recipes, seeds=1, output=folder / "comparison")
"""
FIGURES = ("val_loss", "val_top1", "val_balanced_accuracy")


@pytest.mark.long
def test_a_search_and_a_comparison_give_the_same_on_two_processes(
    python, photo_recipe, tmp_path, capfd
):
    alone, cluster = tmp_path / "alone", tmp_path / "cluster"
    recipe = photo_recipe.replace(epochs=2, views=2, batch_size=None, learning_rate=None)
    for folder in (alone, cluster):
        folder.mkdir()
        recipe.save(folder / "recipe.json")
    (tmp_path / "script.py").write_text(SCRIPT)
    assert launch([python, str(tmp_path / "script.py"), str(cluster)], 2) == 0
    output = capfd.readouterr().out
    assert "[worker0] result 2" in output
    assert "[worker1] result None" in output

    expected = tl.search(
        recipe, {"batch_size": [8, 16]}, tuner="random", trials=2, output=alone / "search"
    )
    recipes = [recipe.replace(strategy=tl.LastLayers("conv3"))]
    compare(recipes, seeds=1, output=alone / "comparison")

    found = read_trials(cluster / "search" / "trials")
    assert len(found) == 2
    for trial, other in zip(found, expected.trials, strict=True):
        assert trial.recipe == other.recipe
        for name in FIGURES:
            assert trial.figures[name] == pytest.approx(other.figures[name], abs=1e-4)
    assert {path.name for path in (cluster / "search").iterdir()} == {
        path.name for path in (alone / "search").iterdir()
    }
    rows = [
        json.loads((folder / "comparison" / "comparison.json").read_text())
        for folder in (alone, cluster)
    ]
    accuracies = [[row["test_top1"] for row in folder] for folder in rows]
    assert accuracies[0] == accuracies[1]
    assert len(accuracies[0]) == 1
