"""`run`: one recipe, trained, tested once, exported, and left as a folder."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import json
import pathlib
import platform
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.markup import escape

import tl_toolkit
from tl_toolkit.catalog import WeightSpec
from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.pipeline import evaluation_batches
from tl_toolkit.data.seen_images import read_seen_images, write_seen_images
from tl_toolkit.devices.processes import Processes
from tl_toolkit.errors import InputError
from tl_toolkit.experiment import (
    EVALUATION_BATCH_SIZE,
    Context,
    Experiment,
    TrainedModel,
    predict_logits,
    train_and_validate,
)
from tl_toolkit.export.saved_model import check_saved_model, export_saved_model
from tl_toolkit.models.fold import inference_engine
from tl_toolkit.output_folder import (
    default_folder,
    finish_output,
    partial_folder,
    shared_output,
)
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.doubts import doubts
from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.report.plots import plot_confusion_matrix, plot_training_curves
from tl_toolkit.report.summary import write_summary
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.training.progress import ProgressBar
from tl_toolkit.transfer.plan import FreezePlan
from tl_toolkit.weights.run_folder import MODEL_FILE, SPEC_FILE

CHECKPOINTS = "checkpoints"
SAVED_MODEL = "saved_model"


@dataclasses.dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: Where everything lies.
        recipe: What was done.
        test: `classification_metrics` on the test images.
        validation: The same on the validation images; None where there are none.
        history: Figures of every epoch.
        plan: What training did to every variable.
        seconds: Spent in training and validation.
        notes: What the user should know.
    """

    folder: pathlib.Path
    recipe: Recipe
    test: dict[str, Any]
    validation: dict[str, Any] | None
    history: list[dict[str, float]]
    plan: FreezePlan
    seconds: float
    notes: tuple[str, ...]


def run(
    recipe: Recipe,
    output: str | pathlib.Path | None = None,
    *,
    overwrite: bool = False,
    context: Context | None = None,
    console: Console | None = None,
) -> RunResult | None:
    """Trains, selects, tests once, exports, and leaves one folder behind.

    While it runs the folder is called `NAME.partial`; the same call goes on from what is in it. Finished,
    it is renamed to `NAME` and holds `recipe.json`, `plan.json`, `history.csv`, `metrics.json`,
    `summary.md`, `training_curves.png`, `confusion_matrix.png`, `versions.json`, `weights.json`,
    `model.keras` (to train on from; it ends in logits) and `saved_model/` (to serve).

    On a cluster every process makes the same call. The chief writes the folder; the others return None.

    Args:
        recipe: What to do.
        output: The folder, NAME; None: one under `saved_models/`, named after the recipe.
        overwrite: Replace a finished run of that name, once this one is finished.
        context: What runs may share.
        console: Where to show progress; None: nowhere.

    Raises:
        InputError: Something given is wrong; nothing is left behind, but for the checkpoints of a disk
            that is full.
        StoppedError: Ctrl-C, or SIGTERM (`PreemptedError`); the same call goes on.
        RuntimeError: A promise was broken: a frozen variable moved, or the SavedModel differs.
    """
    folder = pathlib.Path(output) if output is not None else default_folder(recipe)
    partial = partial_folder(folder)
    context = dataclasses.replace(context or Context(), checkpoints=partial / CHECKPOINTS)
    processes = Processes(context.devices(recipe))
    if console is not None:  # of every process
        context = dataclasses.replace(
            context, announce=lambda text: console.print(escape(text), soft_wrap=True)
        )
    with shared_output(folder, overwrite, processes), _disk_errors_explained(partial):
        trained = _train(recipe, context, partial, console if processes.is_chief else None)
        return write_run(trained, folder) if processes.is_chief else None


def write_run(trained: TrainedModel, folder: pathlib.Path) -> RunResult:
    """Tests a trained model, exports it, writes the report, and gives the folder its name."""
    dataset, partial = trained.experiment.dataset, partial_folder(folder)
    logits, labels = predict_logits(trained.experiment, dataset.test)
    test = classification_metrics(logits, labels, dataset.class_names)
    seen_before = _seen_by_the_weights(trained.experiment.recipe)
    seen_test_images = sum(digest in seen_before for digest in content_digests(dataset.test))
    notes = (*trained.experiment.notes, *doubts(test, seen_test_images))
    experiment = dataclasses.replace(trained.experiment, notes=notes)
    trained = dataclasses.replace(trained, experiment=experiment)
    partial.mkdir(parents=True, exist_ok=True)
    facts = _export(trained, test, partial)
    seen = {*seen_before, *content_digests(dataset.train), *content_digests(dataset.validation)}
    write_seen_images(partial / SAVED_MODEL, seen)
    _write_report(trained, test, facts, partial)
    finish_output(folder)
    # Last of all: without them a run that is killed here would train again.
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return RunResult(
        folder=folder,
        recipe=experiment.recipe,
        test=test,
        validation=trained.validation,
        history=trained.progress.history,
        plan=experiment.plan,
        seconds=trained.progress.seconds,
        notes=experiment.notes,
    )


def _seen_by_the_weights(recipe: Recipe) -> set[str]:
    """Images that an earlier run, whose weights these are, learned from; told by their contents."""
    if recipe.weights is None:
        return set()
    path = pathlib.Path(recipe.weights).expanduser()
    if not path.exists():  # a name, and not a place
        return set()
    return read_seen_images(path / SAVED_MODEL) | read_seen_images(path.parent / SAVED_MODEL)


def _train(
    recipe: Recipe, context: Context, partial: pathlib.Path, console: Console | None
) -> TrainedModel:
    bar = ProgressBar(console, recipe.strategy.name) if console is not None else None
    if bar is not None:
        context = dataclasses.replace(context, callbacks=(*context.callbacks, bar))
    try:
        return train_and_validate(recipe, context)
    except DivergedError:
        # From its checkpoints it would diverge again.
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        if bar is not None:
            bar.close()


def _export(trained: TrainedModel, test: dict[str, Any], partial: pathlib.Path) -> dict[str, str]:
    """Writes both models and returns the facts that the summary lists."""
    experiment = trained.experiment
    facts = _facts(trained)
    experiment.model.save(partial / MODEL_FILE)
    spec = _spec_of_result(experiment)
    (partial / SPEC_FILE).write_text(json.dumps(spec.to_json(), indent=2) + "\n")

    saved_model = partial / SAVED_MODEL
    shutil.rmtree(saved_model, ignore_errors=True)  # of a run that was stopped while it wrote this
    card = {
        "recipe": experiment.recipe.to_json(),
        "facts": facts,
        "preprocessing": dataclasses.asdict(experiment.spec.preprocessing),
        "test": {
            key: test[key] for key in ("examples", "top1", "top1_interval", "balanced_accuracy")
        },
        "notes": list(experiment.notes),
    }
    dataset, preprocessing = experiment.dataset, experiment.spec.preprocessing
    precision = experiment.recipe.serve_precision
    engine = inference_engine(experiment.model, precision)
    if precision != "float32":
        facts["serving"] = _agreement(engine, experiment)
    export_saved_model(engine, saved_model, preprocessing, dataset.class_names, card)
    count, difference = check_saved_model(
        saved_model, dataset.test, experiment.model, preprocessing, precision
    )
    checked = (
        f"loaded in a fresh process with TensorFlow alone; on {count} test images no probability "
        f"differs from the trained model's by more than {difference:.1e}"
    )
    return {**facts, "SavedModel": checked}


def _agreement(engine: Callable, experiment: Experiment) -> str:
    """How often the served network says what it says in float32, over all test images."""
    test = experiment.dataset.test
    batches = evaluation_batches(test, experiment.spec.preprocessing, EVALUATION_BATCH_SIZE)
    in_float32 = inference_engine(experiment.model, "float32")
    answers = [(engine(images).numpy(), in_float32(images).numpy()) for images, _ in batches]
    served, expected = (np.concatenate(logits).argmax(-1) for logits in zip(*answers, strict=True))
    same = int((served == expected).sum())
    accuracy = float((served == test.labels).mean())
    return (
        f"in {experiment.recipe.serve_precision}: the same class as in float32 for {same} of {len(test)} "
        f"test images ({same / len(test):.4f}); test accuracy {accuracy:.4f}"
    )


def _facts(trained: TrainedModel) -> dict[str, str]:
    experiment, numbers, progress = trained.experiment, trained.experiment.numbers, trained.progress
    spec, preprocessing = experiment.spec, experiment.spec.preprocessing
    kept = "last epoch (no validation images)"
    if progress.best_epoch is not None:
        kept = f"epoch {progress.best_epoch + 1}, the best in validation"
    return {
        "network": f"{spec.architecture.name}, variant {spec.architecture.variant}, width "
        f"{spec.architecture.width}, stem {spec.architecture.stem}",
        "started from": spec.name,
        "licence of the weights": spec.licence,
        "licence of the images": experiment.dataset.licence,
        "images": f"{preprocessing.image_size} px, {preprocessing.channel_order}, augmentation "
        f"{experiment.recipe.augmentation or experiment.dataset.augmentation!r}",
        "training": f"{len(progress.history)} epochs of {numbers.steps_per_epoch} batches of at most "
        f"{numbers.batch_size}; {numbers.optimizer}, learning rate {numbers.learning_rate:g}, weight "
        f"decay {numbers.weight_decay:g}; {progress.seconds:.1f} s",
        "precision": experiment.precision,
        "devices": trained.devices,
        "weights kept": kept,
        "frozen variables compared bit by bit": str(trained.verified),
    }


def _spec_of_result(experiment: Experiment) -> WeightSpec:
    """What the run's own weights are, for a run that starts from them."""
    licences = (
        ("weights", experiment.spec.licence),
        ("images", experiment.dataset.licence),
    )
    on_logits = getattr(experiment.recipe.strategy, "on", "features") == "logits"
    names = experiment.spec.class_names if on_logits else experiment.dataset.class_names
    return dataclasses.replace(
        experiment.spec,
        name=f"run on {experiment.dataset.uri}",
        class_names=names,
        classes=experiment.spec.classes if on_logits else len(names),
        trained_on=experiment.dataset.uri,
        top1=None,
        licence="; ".join(f"{what}: {licence}" for what, licence in licences if licence),
        sha256=None,
        source="",
        filename=None,
    )


def _write_report(
    trained: TrainedModel, test: dict[str, Any], facts: dict[str, str], partial: pathlib.Path
) -> None:
    experiment, history = trained.experiment, trained.progress.history
    metrics = {
        "test": test,
        "validation": trained.validation,
        "trained_parameters": experiment.plan.trained_parameters,
        "seconds": trained.progress.seconds,
        "notes": list(experiment.notes),
    }
    experiment.recipe.save(partial / "recipe.json")
    for name, values in (
        ("plan.json", experiment.plan.to_json()),
        ("metrics.json", metrics),
        ("versions.json", _versions()),
    ):
        (partial / name).write_text(json.dumps(values, indent=2) + "\n")
    with (partial / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, history[0])
        writer.writeheader()
        writer.writerows(history)
    plot_training_curves(history, partial / "training_curves.png")
    names = experiment.dataset.class_names
    plot_confusion_matrix(test["confusion_matrix"], names, partial / "confusion_matrix.png")
    page = write_summary(
        title=f"{experiment.recipe.strategy.name} on {experiment.dataset.uri}",
        dataset_line=experiment.dataset.summary(),
        plan=experiment.plan,
        metrics=metrics,
        facts=facts,
        notes=experiment.notes,
    )
    (partial / "summary.md").write_text(page)


def _versions() -> dict[str, str]:
    return {
        "tl_toolkit": tl_toolkit.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


@contextlib.contextmanager
def _disk_errors_explained(partial: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if not is_full and "No space left on device" not in str(error):
            raise
        raise InputError(
            f"The disk is full, and {str(partial)!r} is not finished. Make room and give the same command "
            "again: it goes on from the last checkpoint."
        ) from error
