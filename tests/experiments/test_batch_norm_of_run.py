"""A training that moved statistics says how far they are from the data's, layer by layer, in the run and on its page."""

import csv
import json

import pytest

import tl_toolkit as tl
from tl_toolkit.experiments import batch_norm_of_run


@pytest.mark.long
def test_the_gaps_of_every_layer_are_in_the_run_and_on_its_page(
    photo_recipe, tmp_path, monkeypatch, no_saved_model
):
    monkeypatch.setattr(batch_norm_of_run, "LEAST_SECONDS", 0.0)
    strategy = tl.FullFineTune(bn_mode="adapt")
    recipe = photo_recipe.replace(strategy=strategy, epochs=1, learning_rate=1e-3)
    run = tl.run(recipe, tmp_path / "run")
    modes = json.loads((run.folder / "plan.json").read_text())["bn_modes"]
    with (run.folder / "batch_norm.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == list(modes)
    assert {row["mode"] for row in rows} == {"adapt"}
    page = run.page.read_text(encoding="utf-8")
    assert "gap of variances" in page
    for row in rows:
        assert f"{float(row['variance_gap']):.2f}" in page
    assert "moving statistics within" in (run.folder / "summary.md").read_text()
    assert "batch_norm.csv" in tl.verify(run.folder).intact
