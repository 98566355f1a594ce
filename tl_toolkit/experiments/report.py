"""What a run leaves to read: recipe, plan, figures, history, plots and a summary."""

from __future__ import annotations

import csv
import pathlib
import platform
import shutil
from typing import Any

from tl_toolkit.experiments.identity import package_versions
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.files.atomic import write_json, write_text, written_aside
from tl_toolkit.progress import Progress
from tl_toolkit.report.plots import plot_confusion_matrix, plot_training_curves
from tl_toolkit.report.summary import write_summary

TENSORFLOW_LOG = "tensorflow.log"


def run_facts(trained: TrainedModel) -> dict[str, str]:
    """Returns what the summary and the model's card list, by name."""
    experiment, progress = trained.experiment, trained.progress
    hyperparameters, spec = experiment.hyperparameters, experiment.spec
    preprocessing = experiment.preprocessing
    kept = "last epoch (no validation images)"
    if progress.best_epoch is not None:
        kept = f"epoch {progress.best_epoch + 1}, the best in validation"
    started_from = spec.name
    if experiment.weights is not None:
        started_from = f"{spec.name} (sha256 {experiment.weights.sha256})"
    return {
        "network": f"{spec.architecture.name}, variant {spec.architecture.variant}, width "
        f"{spec.architecture.width}, stem {spec.architecture.stem}",
        "started from": started_from,
        "licence of the weights": spec.licence,
        "licence of the images": experiment.dataset.licence,
        "images": f"{preprocessing.image_size} px, {preprocessing.channel_order}, augmentation "
        f"{experiment.recipe.augmentation or experiment.dataset.augmentation!r}",
        "training": f"{len(progress.history)} epochs of {hyperparameters.steps_per_epoch} batches of at "
        f"most {hyperparameters.batch_size}; {hyperparameters.optimizer}, learning rate "
        f"{hyperparameters.learning_rate:g}, weight decay {hyperparameters.weight_decay:g}; "
        f"{progress.seconds:.1f} s",
        "precision": experiment.precision,
        "devices": trained.devices,
        "weights kept": kept,
        "frozen variables compared bit by bit": str(trained.verified),
    }


def draw_plots(trained: TrainedModel, test: dict[str, Any], folder: pathlib.Path) -> None:
    """Draws the curves of the training and the confusion matrix of the test."""
    plot_training_curves(trained.progress.history, folder / "training_curves.png")
    names = trained.experiment.dataset.class_names
    plot_confusion_matrix(test["confusion_matrix"], names, folder / "confusion_matrix.png")


def write_report(
    trained: TrainedModel,
    test: dict[str, Any],
    facts: dict[str, str],
    folder: pathlib.Path,
    progress: Progress,
) -> None:
    """Writes everything of a run but its models and plots.

    Args:
        trained: The model.
        test: Its test figures.
        facts: What the summary lists.
        folder: Of the run.
        progress: Shows what is done, and knows TensorFlow's log.
    """
    experiment, history = trained.experiment, trained.progress.history
    metrics = {
        "test": test,
        "validation": trained.validation,
        "trained_parameters": experiment.plan.trained_parameters,
        "seconds": trained.progress.seconds,
        "notes": list(experiment.notes),
    }
    with progress.stage("Writing the report"):
        experiment.recipe.save(folder / "recipe.json")
        write_json(folder / "plan.json", experiment.plan.to_json())
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "versions.json", _versions())
        _write_history(history, folder / "history.csv")
        page = write_summary(
            title=f"{experiment.recipe.strategy.name} on {experiment.dataset.uri}",
            dataset_line=experiment.dataset.summary(),
            plan=experiment.plan,
            metrics=metrics,
            facts=facts,
            notes=experiment.notes,
        )
        write_text(folder / "summary.md", page)
        if progress.log_file is not None and progress.log_file.is_file():
            shutil.copyfile(progress.log_file, folder / TENSORFLOW_LOG)


def _write_history(history: list[dict[str, float]], path: pathlib.Path) -> None:
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, history[0])
        writer.writeheader()
        writer.writerows(history)


def _versions() -> dict[str, str]:
    return {
        **package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
