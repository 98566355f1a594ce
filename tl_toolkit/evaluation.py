"""An exported classifier, measured on labelled images as it serves them."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tl_toolkit.data.dataset import Split
from tl_toolkit.data.open import open_images
from tl_toolkit.errors import InputError
from tl_toolkit.experiment import open_recipe_data
from tl_toolkit.export.classifier import Classifier, load_classifier
from tl_toolkit.recipe import Recipe
from tl_toolkit.report.metrics import classification_metrics

IMAGES_AT_A_TIME = 256


def evaluate_classifier(
    model: str | pathlib.Path, data: str, on_bad_image: str = "error"
) -> dict[str, Any]:
    """Measures a classifier that `run` exported.

    Args:
        model: A finished run's folder, or the SavedModel in it.
        data: What `open_dataset` takes. The data that the model was trained on: its test images alone
            are used. Other data: all images.
        on_bad_image: As in `open_dataset`.

    Returns:
        `classification_metrics` of each split that was measured, by its name, and `notes`.

    Raises:
        InputError: There is no such model or data, or the model does not know a class.
    """
    classifier = load_classifier(model)
    recipe = Recipe.from_json(classifier.card["recipe"])
    if data == recipe.data:
        dataset = open_recipe_data(recipe.replace(on_bad_image=on_bad_image))
        splits, class_names, notes = {"test": dataset.test}, dataset.class_names, dataset.notes
    else:
        source = open_images(data, on_bad_image)
        found = {"train": source.train, "validation": source.validation, "test": source.test}
        splits = {name: split for name, split in found.items() if split is not None}
        class_names, notes = source.class_names, source.notes
    positions = _positions(class_names, classifier, data)
    metrics: dict[str, Any] = {}
    for name, split in splits.items():
        probabilities = _probabilities(classifier, split)
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
        metrics[name] = classification_metrics(
            logits, positions[split.labels], classifier.class_names
        )
    return {**metrics, "notes": list(notes)}


def _positions(class_names: tuple[str, ...], classifier: Classifier, data: str) -> np.ndarray:
    unknown = [name for name in class_names if name not in classifier.class_names]
    if unknown:
        raise InputError(
            f"The model does not know {len(unknown)} classes of {data!r}: {', '.join(unknown[:8])}. It "
            f"knows {', '.join(classifier.class_names[:20])}."
        )
    return np.array([classifier.class_names.index(name) for name in class_names])


def _probabilities(classifier: Classifier, split: Split) -> np.ndarray:
    parts = []
    for start in range(0, len(split), IMAGES_AT_A_TIME):
        indices = range(start, min(start + IMAGES_AT_A_TIME, len(split)))
        parts.append(classifier.predict_probabilities(split.images.encoded(i) for i in indices))
    return np.concatenate(parts)
