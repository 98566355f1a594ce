"""The best recipe of a search, trained again on training and validation images and tested once a seed."""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
import shutil

from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.run import RunResult, run
from tl_toolkit.experiments.run_folder import CHECKPOINTS
from tl_toolkit.recipe import Recipe
from tl_toolkit.transfer.plan import FreezePlan, StagePlan


def retrain(
    best: Recipe, seeds: list[int], folder: pathlib.Path, context: Context
) -> list[RunResult]:
    """Returns a run of each seed; those that are finished in the folder are read back, not run again.

    Args:
        best: The best trial's recipe.
        seeds: Of the runs.
        folder: Holds them.
        context: Of the search; its opened data are left out.
    """
    processes = ProcessGroup(context.devices(best))
    results = []
    for seed in seeds:
        final = best.replace(validation_fraction=0.0, seed=seed)
        place = folder / f"seed_{seed}"
        if processes.broadcast_text("finished" if _holds(place, final) else ""):
            results += [_read_run(place)] if processes.is_chief else []
            continue
        shared = dataclasses.replace(context, dataset=None, networks=None)
        result = run(final, place, overwrite=True, context=shared)
        results += [result] if result is not None else []
    return results


def _holds(place: pathlib.Path, recipe: Recipe) -> bool:
    return place.is_dir() and Recipe.load(place / "recipe.json") == recipe


def _read_run(place: pathlib.Path) -> RunResult:
    shutil.rmtree(place / CHECKPOINTS, ignore_errors=True)  # where it was killed just before that
    metrics = json.loads((place / "metrics.json").read_bytes())
    plan = json.loads((place / "plan.json").read_bytes())
    with (place / "history.csv").open(newline="", encoding="utf-8") as file:
        history = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    stages = [StagePlan(**s | {"bn_modes": tuple(s["bn_modes"])}) for s in plan["stages"]]
    return RunResult(
        folder=place,
        recipe=Recipe.load(place / "recipe.json"),
        test=metrics["test"],
        validation=metrics["validation"],
        history=history,
        plan=FreezePlan(**plan | {"stages": tuple(stages)}),
        seconds=metrics["seconds"],
        notes=tuple(metrics["notes"]),
    )
