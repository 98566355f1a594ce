"""A trained model as files: `model.keras` to train on from, and `saved_model/` to serve, checked."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tl_toolkit.catalog import ALL_BLOCKS, FEATURES, LOGITS, WeightSpec
from tl_toolkit.data.evaluation_batches import EvaluationBatches
from tl_toolkit.experiments.batch_source import EVALUATION_BATCH_SIZE
from tl_toolkit.experiments.prepare import Experiment
from tl_toolkit.experiments.tested import Tested, label_thresholds
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.experiments.written_files import CHECKPOINTS
from tl_toolkit.export.fresh_process import FreshProcess
from tl_toolkit.export.saved_model import (
    LogitsOf,
    SavedModelCheck,
    export_saved_model,
    write_card,
)
from tl_toolkit.export.saved_model_layout import CARD, SAVED_MODEL, THRESHOLDS
from tl_toolkit.files.atomic import write_json, write_text
from tl_toolkit.models.fold import copy_in, inference_engine
from tl_toolkit.report.label_words import thresholds_in_words
from tl_toolkit.report.model_card import MODEL_CARD, model_card
from tl_toolkit.weights.run_folder import MODEL_FILE, SPEC_FILE

TEST_FIGURES_ON_CARD = ("examples", "top1", "top1_interval", "balanced_accuracy")
TEST_FIGURES_OF_LABELS = (
    "examples",
    "mean_average_precision",
    "macro_f1",
    "micro_f1",
    "subset_accuracy",
    "subset_accuracy_interval",
    "hamming_loss",
)


def export(
    trained: TrainedModel, folder: pathlib.Path, process: FreshProcess
) -> tuple[dict[str, str], SavedModelCheck]:
    """Writes both models, and lets another process compare the SavedModel with the network.

    Args:
        trained: The model.
        folder: Of the run.
        process: Loads the SavedModel.

    Returns:
        Facts about what is served, and the check, which is under way.
    """
    experiment = trained.experiment
    precision = experiment.recipe.serve_precision
    saved_model, scratch = folder / SAVED_MODEL, folder / CHECKPOINTS / "reload"
    for left_over in (saved_model, scratch):  # of a run that was stopped while it wrote them
        shutil.rmtree(left_over, ignore_errors=True)
    served: dict[str, str] = {}
    engine = inference_engine(experiment.model, precision)
    if precision != "float32":
        served["serving"] = _agreement(engine, experiment)
    chosen = label_thresholds(trained)
    export_saved_model(
        engine,
        saved_model,
        experiment.preprocessing,
        experiment.dataset.class_names,
        None if chosen is None else chosen.values,
    )
    check = SavedModelCheck(
        process,
        scratch,
        saved_model,
        experiment.dataset.test,
        _float32_logits(experiment),
        experiment.preprocessing,
        precision,
        several=chosen is not None,
    )
    experiment.model.save(folder / MODEL_FILE)
    write_json(folder / SPEC_FILE, _spec_of_result(experiment).to_json())
    return served, check


def write_model_card(
    trained: TrainedModel, tested: Tested, facts: dict[str, str], folder: pathlib.Path
) -> None:
    """Writes the recipe, the test figures and what the summary lists next to the SavedModel, and a card to read."""
    experiment, test, chosen = trained.experiment, tested.metrics, tested.label_thresholds
    names = experiment.dataset.class_names
    figures = TEST_FIGURES_ON_CARD if chosen is None else TEST_FIGURES_OF_LABELS
    of_labels: dict[str, Any] = {}
    if chosen is not None:
        of_labels[THRESHOLDS] = dict(zip(names, chosen.values, strict=True))
        of_labels["thresholds_chosen_on"] = f"{chosen.images} {chosen.kind}".strip()
    card = {
        "recipe": experiment.recipe.to_json(),
        "facts": facts,
        "preprocessing": dataclasses.asdict(experiment.preprocessing),
        "test": {name: test[name] for name in figures},
        "positive_class": test.get("positive_class"),
        "notes": list(experiment.notes),
        **of_labels,
    }
    write_card(folder / SAVED_MODEL, names, card)
    dataset = experiment.dataset
    page = model_card(
        experiment.spec.architecture.description,
        dataset.uri,
        experiment.spec,
        dataset.licence,
        test,
        facts,
        experiment.notes,
        ""
        if chosen is None
        else thresholds_in_words({"images": chosen.images, "chosen_on": chosen.kind}),
    )
    write_text(folder / MODEL_CARD, page)
    write_text(folder / SAVED_MODEL / CARD.parent / MODEL_CARD, page)


def _float32_logits(experiment: Experiment) -> LogitsOf:
    if any(layer.compute_dtype != "float32" for layer in experiment.model.layers):
        in_float32 = copy_in(experiment.model, "float32")
        return lambda images: in_float32(images, training=False).numpy()
    # Outside of the precision's scope, which a processor's bfloat16 does not leave.
    return lambda images: experiment.predict([(images, tf.zeros(len(images)))])[0]


def _agreement(engine: Callable, experiment: Experiment) -> str:
    """How often the served network says what it says in float32, over all test images."""
    test = experiment.dataset.test
    batches = EvaluationBatches(test, experiment.preprocessing, EVALUATION_BATCH_SIZE)
    in_float32 = inference_engine(experiment.model, "float32")
    answers = [(engine(images).numpy(), in_float32(images).numpy()) for images, _ in batches]
    if experiment.dataset.has_several_labels:
        both = (np.concatenate(logits) >= 0 for logits in zip(*answers, strict=True))
        of_served, of_float32 = both
        same = int((of_served == of_float32).sum())
        return (
            f"in {experiment.recipe.serve_precision}: from probability 0.5 on the same answer as in float32 to {same} of "
            f"{of_served.size} questions whether a test image has a label ({same / of_served.size:.4f})"
        )
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
    on = getattr(experiment.recipe.strategy, "on", FEATURES)
    # The layer that stands where the original last one did, and what it names; on all blocks there is none.
    names = {
        FEATURES: experiment.dataset.class_names,
        LOGITS: experiment.spec.class_names,
        ALL_BLOCKS: (),
    }[on]
    return dataclasses.replace(
        experiment.spec,
        name=f"run on {experiment.dataset.uri}",
        class_names=names,
        classes=experiment.spec.classes if on == LOGITS else len(names),
        trained_on=experiment.dataset.uri,
        top1=None,
        licence="; ".join(f"{what}: {licence}" for what, licence in licences if licence),
        sha256=None,
        source="",
        filename=None,
    )
