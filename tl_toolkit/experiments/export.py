"""A trained model as files: `model.keras` to train on from, and `saved_model/` to serve, checked."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from tl_toolkit.catalog import FEATURES, LOGITS, WeightSpec
from tl_toolkit.data.pipeline import evaluation_batches
from tl_toolkit.experiments.batch_source import EVALUATION_BATCH_SIZE
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.export.saved_model import SAVED_MODEL, check_saved_model, export_saved_model
from tl_toolkit.files.atomic import write_json
from tl_toolkit.models.fold import inference_engine
from tl_toolkit.progress import Progress
from tl_toolkit.weights.run_folder import MODEL_FILE, SPEC_FILE

TEST_FIGURES_ON_CARD = ("examples", "top1", "top1_interval", "balanced_accuracy")


def export(
    trained: TrainedModel,
    test: dict[str, Any],
    facts: dict[str, str],
    folder: pathlib.Path,
    progress: Progress,
) -> dict[str, str]:
    """Writes both models, and compares the SavedModel with the network in a fresh process.

    Args:
        trained: The model.
        test: Its test figures, for the card.
        facts: What the card lists.
        folder: Of the run.
        progress: Shows what is done.

    Returns:
        Facts about what is served.

    Raises:
        RuntimeError: The SavedModel does not load, or gives other probabilities.
    """
    experiment = trained.experiment
    dataset, preprocessing = experiment.dataset, experiment.preprocessing
    precision = experiment.recipe.serve_precision
    saved_model = folder / SAVED_MODEL
    shutil.rmtree(saved_model, ignore_errors=True)  # of a run that was stopped while it wrote this
    served: dict[str, str] = {}
    with progress.stage("Exporting the SavedModel"):
        experiment.model.save(folder / MODEL_FILE)
        write_json(folder / SPEC_FILE, _spec_of_result(experiment).to_json())
        engine = inference_engine(experiment.model, precision)
        if precision != "float32":
            served["serving"] = _agreement(engine, experiment)
        card = {
            "recipe": experiment.recipe.to_json(),
            "facts": {**facts, **served},
            "preprocessing": dataclasses.asdict(preprocessing),
            "test": {name: test[name] for name in TEST_FIGURES_ON_CARD},
            "notes": list(experiment.notes),
        }
        export_saved_model(engine, saved_model, preprocessing, dataset.class_names, card)
    with progress.stage("Checking the SavedModel in a fresh process"):
        count, difference = check_saved_model(
            saved_model, dataset.test, experiment.model, preprocessing, precision
        )
    served["SavedModel"] = (
        f"loaded in a fresh process with TensorFlow alone; on {count} test images no probability "
        f"differs from the trained model's by more than {difference:.1e}"
    )
    return served


def _agreement(engine: Callable, experiment: Experiment) -> str:
    """How often the served network says what it says in float32, over all test images."""
    test = experiment.dataset.test
    batches = evaluation_batches(test, experiment.preprocessing, EVALUATION_BATCH_SIZE)
    in_float32 = inference_engine(experiment.model, "float32")
    answers = [(engine(images).numpy(), in_float32(images).numpy()) for images, _ in batches]
    served, expected = (np.concatenate(logits).argmax(-1) for logits in zip(*answers, strict=True))
    same = int((served == expected).sum())
    accuracy = float((served == test.labels).mean())
    return (
        f"in {experiment.recipe.serve_precision}: the same class as in float32 for {same} of {len(test)} "
        f"test images ({same / len(test):.4f}); test accuracy {accuracy:.4f}"
    )


def _spec_of_result(experiment: Experiment) -> WeightSpec:
    """What the run's own weights are, for a run that starts from them."""
    licences = (
        ("weights", experiment.spec.licence),
        ("images", experiment.dataset.licence),
    )
    on_logits = getattr(experiment.recipe.strategy, "on", FEATURES) == LOGITS
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
