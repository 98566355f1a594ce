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
from tl_toolkit.experiments.written_files import CHECKPOINTS
from tl_toolkit.export.saved_model_layout import SAVED_MODEL
from tl_toolkit.files.manifest import MANIFEST, check_files
from tl_toolkit.progress import Progress
from tl_toolkit.recipe import Recipe
from tl_toolkit.transfer.plan import FreezePlan, StagePlan

# What reading a run raises that is not whole; `InputError` is a `ValueError`.
UNREADABLE = (OSError, ValueError, LookupError, TypeError)


def retrain(
    best: Recipe, seeds: list[int], folder: pathlib.Path, context: Context
) -> list[RunResult]:
    """Returns a run of each seed; those that are finished in the folder, and whole, are read back, not run again.

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
        finished = _finished(place, final, context.progress) if processes.is_chief else None
        if processes.broadcast_text("finished" if finished is not None else ""):
            results += [finished] if finished is not None else []
            continue
        shared = dataclasses.replace(context, dataset=None, networks=None)
        result = run(final, place, overwrite=True, context=shared)
        results += [result] if result is not None else []
    return results


def _finished(place: pathlib.Path, recipe: Recipe, progress: Progress) -> RunResult | None:
    """Returns the whole run of a recipe in a folder; None where there is none, or a file of it is damaged."""
    if not place.is_dir():
        return None
    try:
        if (place / MANIFEST).exists():  # earlier versions wrote none
            check_files(place)
            check_files(place / SAVED_MODEL)
        result = _read_run(place)
    except UNREADABLE as error:
        progress.message(f"{str(place)!r} cannot be used and is run again: {error}")
        return None
    return result if result.recipe == recipe else None


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
