"""What a run leaves to read: recipe, plan, figures, history, plots and a summary."""

from __future__ import annotations

import dataclasses
import pathlib
import platform
import shutil
from typing import Any

import numpy as np

from tl_toolkit.catalog import ALL_BLOCKS
from tl_toolkit.data.labels import are_several
from tl_toolkit.experiments.answer_rows import answer_rows, out_of_fold_rows
from tl_toolkit.experiments.climb import Climb
from tl_toolkit.experiments.identity import package_versions
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.experiments.tested import Tested
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.experiments.training_views import contact_sheet
from tl_toolkit.files.atomic import write_json, write_text
from tl_toolkit.models.head import blocks_of_features
from tl_toolkit.progress import Progress
from tl_toolkit.report.answers import TEST_ANSWERS, write_rows
from tl_toolkit.report.calibration import reliability
from tl_toolkit.report.curves import HeldBackCurve, LabelCurve
from tl_toolkit.report.held_back import held_back_curve
from tl_toolkit.report.label_curves import label_curves
from tl_toolkit.report.ladder import LADDER, ladder_table, measured
from tl_toolkit.report.run_plots import AnswerPlots, RunPlots
from tl_toolkit.report.summary import write_summary
from tl_toolkit.report.two_classes import ranking_curves
from tl_toolkit.training.run_state import START
from tl_toolkit.transfer.updates import rates_by_stage

TENSORFLOW_LOG = "tensorflow.log"
OUT_OF_FOLD = "out_of_fold.csv"


def run_facts(trained: TrainedModel) -> dict[str, str]:
    """Returns what the summary and the model's card list, by name."""
    experiment, progress = trained.experiment, trained.progress
    spec = experiment.spec
    preprocessing = experiment.preprocessing
    started_from = spec.name
    if experiment.weights is not None:
        started_from = f"{spec.name} (sha256 {experiment.weights.sha256})"
    return {
        "network": f"{spec.architecture.description}, variant {spec.architecture.variant}, width "
        f"{spec.architecture.width}, stem {spec.architecture.stem}",
        "started from": started_from,
        "licence of the weights": spec.licence,
        "licence of the images": experiment.dataset.licence,
        "images": f"{preprocessing.image_size} px, {preprocessing.channel_order}, {_views(trained)}",
        "training": f"{_training(trained)}; {progress.seconds:.1f} s",
        **({"updates": updates} if (updates := describe_updates(experiment)) else {}),
        "precision": experiment.precision,
        "devices": trained.devices,
        "weights kept": _kept(trained),
        "calibration": str(trained.calibration),
        "frozen variables compared bit by bit": str(trained.verified),
    }


def _views(trained: TrainedModel) -> str:
    experiment = trained.experiment
    augmentation = experiment.recipe.augmentation or experiment.dataset.augmentation
    if trained.solved is None:
        return f"augmentation {augmentation!r}"
    augmented = (experiment.hyperparameters.views or 1) - 1
    if not augmented or experiment.augmentation is None:
        return "not augmented"
    return f"as they are and in {augmented} more views, augmentation {augmentation!r}"


def describe_updates(experiment: Experiment) -> str:
    """Returns in words what is not usual of the weights' updates, such as rates by stage; "" where all is."""
    hyperparameters, said = experiment.hyperparameters, []
    rates = rates_by_stage(experiment.updates)
    if any(pair != (1, 1) for pair in rates.values()):
        of_stages = [
            f"{stage} {low:.3g}" + (f"–{high:.3g}" if low < high else "")
            for stage, (low, high) in rates.items()
        ]
        said.append(f"fractions of the learning rate: {', '.join(of_stages)}")
    if hyperparameters.l2_sp is not None:
        said.append(f"L2-SP {hyperparameters.l2_sp:g} in place of the backbone's weight decay")
    if hyperparameters.ema is not None:
        said.append(f"moving average of the weights, decay {hyperparameters.ema:g}")
    if hyperparameters.unfreeze_epochs is not None:
        epochs = hyperparameters.unfreeze_epochs
        every = "epoch" if epochs == 1 else f"{epochs} epochs"
        said.append(f"one more stage every {every}, from the head down")
    return "; ".join(said)


def _training(trained: TrainedModel) -> str:
    hyperparameters, solved = trained.experiment.hyperparameters, trained.solved
    if solved is None:
        return (
            f"{len(trained.progress.history)} epochs of {hyperparameters.steps_per_epoch} batches of at most "
            f"{hyperparameters.batch_size}; {hyperparameters.optimizer}, learning rate "
            f"{hyperparameters.learning_rate:g}, weight decay {hyperparameters.weight_decay:g}"
        )
    chosen = f"logistic regression solved by L-BFGS, strength C = {solved.strength:.3g}"
    if solved.path is None or solved.folds is None:
        return chosen
    path = solved.path
    several = trained.experiment.dataset.has_several_labels
    accuracy = "share of labels right" if several else "accuracy"
    return (
        f"{chosen}, the best of {len(path.strengths)} in {solved.folds.max() + 1}-fold cross-validation: out of fold "
        f"{accuracy} {path.accuracies[path.best]:.3f}, log loss {path.log_losses[path.best]:.3f}"
    )


def _kept(trained: TrainedModel) -> str:
    if trained.solved is not None:
        return "the head that was solved for from all training images"
    if trained.progress.best_epoch is None:
        return "last epoch (no validation images)"
    if trained.progress.best_epoch == START:
        return "those before the first epoch: none was better in validation"
    return f"epoch {trained.progress.best_epoch + 1}, the best in validation"


def run_plots(trained: TrainedModel, tested: Tested, climbed: Climb | None = None) -> RunPlots:
    """Returns what the plots of a run are drawn from; of it, this computes what training saw.

    Args:
        trained: The model.
        tested: Its test.
        climbed: The rungs that the model was chosen from, if any.
    """
    solved, experiment = trained.solved, trained.experiment
    shares = None
    if solved is not None and getattr(experiment.recipe.strategy, "on", None) == ALL_BLOCKS:
        blocks = blocks_of_features(experiment.spec.architecture)
        shares = _shares(blocks, solved.head.norms)
    path = solved.path if solved is not None else None
    return RunPlots(
        answers=_answers(trained, tested),
        history=trained.progress.history if solved is None or path is not None else None,
        chosen_strength=path.best if path is not None else None,
        block_shares=shares,
        sheet=contact_sheet(experiment),
        rungs=climbed.rungs if climbed is not None and measured(climbed.rungs) else (),
        selected_on=climbed.selected_on if climbed is not None else "",
    )


def _answers(trained: TrainedModel, tested: Tested) -> AnswerPlots | list[LabelCurve]:
    names, positive = trained.experiment.dataset.class_names, trained.experiment.positive
    logits, labels = tested.logits, tested.labels
    if tested.label_thresholds is not None:
        return label_curves(logits, labels, names)
    raw = logits * trained.calibration.temperature
    as_trained = {"as trained": reliability(raw, labels)} if trained.calibration.images else {}
    plots = AnswerPlots(
        names,
        tested.metrics["confusion_matrix"],
        {**as_trained, "as served": reliability(logits, labels)},
        HeldBackCurve(*held_back_curve(logits, labels), tested.held_back),
    )
    if positive is None or tested.metrics["roc_auc"] is None:
        return plots
    ranking = ranking_curves(logits, labels, positive)
    return dataclasses.replace(
        plots, ranking=ranking, positive=names[positive], thresholds=tested.thresholds
    )


def write_answers(trained: TrainedModel, tested: Tested, folder: pathlib.Path) -> None:
    """Writes what the model said of every test image, and what a head said of each training image that it had not seen."""
    solved, dataset = trained.solved, trained.experiment.dataset
    chosen = tested.label_thresholds
    thresholds = None if chosen is None else chosen.values
    answers = answer_rows(dataset.test, tested.logits, dataset.class_names, thresholds)
    write_rows(answers, folder / TEST_ANSWERS)
    if solved is not None and solved.path is not None and solved.folds is not None:
        rows = out_of_fold_rows(
            dataset.train,
            solved.folds,
            solved.path.logits / trained.calibration.temperature,
            dataset.class_names,
        )
        write_rows(rows, folder / OUT_OF_FOLD)


def write_report(
    trained: TrainedModel,
    tested: Tested,
    facts: dict[str, str],
    folder: pathlib.Path,
    progress: Progress,
    climbed: Climb | None = None,
) -> None:
    """Writes everything of a run but its models, answers and plots.

    Args:
        trained: The model.
        tested: Its test.
        facts: What the summary lists.
        folder: Of the run.
        progress: Shows what is done, and knows TensorFlow's log.
        climbed: The rungs that the model was chosen from, if any.
    """
    experiment, history = trained.experiment, trained.progress.history
    metrics = {
        "test": tested.metrics,
        "validation": trained.validation,
        "held_back": tested.held_back,
        **({"thresholds": tested.thresholds} if experiment.positive is not None else {}),
        **_of_labels(trained, tested),
        "trained_parameters": experiment.plan.trained_parameters,
        "seconds": trained.progress.seconds,
        "notes": list(experiment.notes),
        "images": experiment.dataset.summary(),
        "facts": facts,
        "kept": trained.progress.best_epoch,
        **({"selected_on": climbed.selected_on} if climbed is not None else {}),
    }
    with progress.stage("Writing the report"):
        experiment.recipe.save(folder / "recipe.json")
        write_json(folder / "plan.json", experiment.plan.to_json())
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "versions.json", _versions())
        write_rows(history, folder / "history.csv")
        if climbed is not None:
            write_json(folder / LADDER, [dataclasses.asdict(rung) for rung in climbed.rungs])
        page = write_summary(
            title=f"{experiment.recipe.strategy.name} on {experiment.dataset.uri}",
            dataset_line=experiment.dataset.summary(),
            plan=experiment.plan,
            metrics=metrics,
            facts=facts,
            notes=experiment.notes,
            ladder=ladder_table(climbed.rungs, climbed.selected_on)
            if climbed is not None
            else None,
            find=experiment.recipe.find,
            why_positive=_why_positive(trained),
        )
        write_text(folder / "summary.md", page)
        if progress.log_file is not None and progress.log_file.is_file():
            shutil.copyfile(progress.log_file, folder / TENSORFLOW_LOG)


def _of_labels(trained: TrainedModel, tested: Tested) -> dict[str, Any]:
    """Of several labels an image, from which probability on each is given, and by what that was chosen."""
    chosen = tested.label_thresholds
    if chosen is None:
        return {}
    names = trained.experiment.dataset.class_names
    values = {
        "values": dict(zip(names, chosen.values, strict=True)),
        "chosen_on": chosen.kind,
        "images": chosen.images,
    }
    return {"label_thresholds": values}


def _why_positive(trained: TrainedModel) -> str:
    recipe, labels = trained.experiment.recipe, trained.experiment.dataset.train.labels
    if recipe.positive_class is not None:
        return "as the recipe says"
    if are_several(labels):
        return ""
    first, second = np.bincount(labels, minlength=2)[:2]
    return "the second class" if first == second else "the rarer class of the training images"


def _shares(blocks: list[str], norms: np.ndarray) -> dict[str, float]:
    """Returns each block's share of the squared norm of a head's kernel."""
    shares = dict.fromkeys(blocks, 0.0)
    for block, square in zip(blocks, np.square(norms) / np.square(norms).sum(), strict=True):
        shares[block] += float(square)
    return shares


def _versions() -> dict[str, str]:
    return {
        **package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
