"""An exported classifier, measured on labelled images as it serves them."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import Split
from tl_toolkit.data.open import open_images
from tl_toolkit.data.seen_images import read_seen_images
from tl_toolkit.errors import InputError
from tl_toolkit.export.classifier import Classifier, load_classifier
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.report.metrics import classification_metrics

IMAGES_AT_A_TIME = 256


def evaluate_exported(
    model: str | pathlib.Path,
    data: str,
    on_bad_image: str = "error",
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Measures a classifier that `run` exported.

    Args:
        model: What `load_classifier` takes.
        data: What `open_dataset` takes. Images that the model learned from, or was selected by, are left
            out; they are recognised by their contents, under any path.
        on_bad_image: As in `open_dataset`.
        progress: Shows what is done.

    Returns:
        `images`, the `classification_metrics` of all images that it has not seen, and `notes`.

    Raises:
        InputError: There is no such model or data, the model does not know a class, or it has seen all
            the images.
    """
    classifier = load_classifier(model)
    source = open_images(data, on_bad_image, progress)
    positions = _positions(source.class_names, classifier, data)
    seen = read_seen_images(classifier.path) if classifier.path is not None else set()
    probabilities, labels, left_out = [], [], 0
    for split in (source.train, source.validation, source.test):
        if split is None:
            continue
        unseen = np.flatnonzero([digest not in seen for digest in content_digests(split)])
        left_out += len(split) - len(unseen)
        if len(unseen):
            probabilities.append(_probabilities(classifier, split.take(unseen), progress))
            labels.append(positions[split.labels[unseen]])
    if not labels:
        raise InputError(
            f"The model learned from, or was selected by, all {left_out} images of {data!r}: measure it "
            "on others."
        )
    logits = np.log(np.maximum(np.concatenate(probabilities), np.finfo(np.float32).tiny))
    metrics = classification_metrics(logits, np.concatenate(labels), classifier.class_names)
    notes = list(source.notes)
    if left_out:
        notes.append(
            f"{left_out} images are left out: the model learned from them or was selected by them"
        )
    return {"images": metrics, "notes": notes}


def _positions(class_names: tuple[str, ...], classifier: Classifier, data: str) -> np.ndarray:
    unknown = [name for name in class_names if name not in classifier.class_names]
    if unknown:
        raise InputError(
            f"The model does not know these classes of {data!r}: {', '.join(unknown[:8])}. It "
            f"knows {', '.join(classifier.class_names[:20])}."
        )
    return np.array([classifier.class_names.index(name) for name in class_names])


def _probabilities(classifier: Classifier, split: Split, progress: Progress) -> np.ndarray:
    parts = []
    with progress.stage("Classifying", total=len(split)) as stage:
        for start in range(0, len(split), IMAGES_AT_A_TIME):
            indices = range(start, min(start + IMAGES_AT_A_TIME, len(split)))
            parts.append(classifier.predict_probabilities(split.images.encoded(i) for i in indices))
            stage.advance(len(indices))
    return np.concatenate(parts)
