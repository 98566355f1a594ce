"""An exported classifier, measured on labelled images as it serves them."""

from __future__ import annotations

import pathlib
from typing import Annotated, Any

import numpy as np
from scipy.special import logit

from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.dataset import ImageSource, Split
from tl_toolkit.data.labels import are_several
from tl_toolkit.data.open import open_images
from tl_toolkit.data.opening import Opening
from tl_toolkit.data.seen_images import read_seen_images
from tl_toolkit.errors import InputError
from tl_toolkit.export.classifier import Classifier, load_classifier
from tl_toolkit.fields import Between, check_value
from tl_toolkit.progress import SILENT, Progress
from tl_toolkit.report.held_back import held_back
from tl_toolkit.report.label_metrics import label_metrics
from tl_toolkit.report.label_words import names_in_words
from tl_toolkit.report.metrics import classification_metrics

IMAGES_AT_A_TIME = 256
SMALLEST = 1e-7  # of probabilities in float32, and of their distance from 1
Probability = Annotated[float, Between(0, 1)] | None


def evaluate_exported(
    model: str | pathlib.Path,
    data: str,
    on_bad_image: str = "error",
    progress: Progress = SILENT,
    unsure_below: float | None = None,
) -> dict[str, Any]:
    """Measures a classifier that `run` exported.

    Args:
        model: What `load_classifier` takes.
        data: What `open_dataset` takes. Images that the model learned from, or was selected by, are left
            out; they are recognised by their contents, under any path.
        on_bad_image: As in `open_dataset`.
        progress: Shows what is done.
        unsure_below: Probability below which answers are held back; None: all are given.

    Returns:
        `images`, the `classification_metrics` of all images that it has not seen (of a model that gives any number of
        labels, their `label_metrics` at its thresholds), and `notes`. With
        `unsure_below`, `images` has what `held_back` returns under that name too.

    Raises:
        InputError: There is no such model or data, the model does not know a class, or it has seen all
            the images.
    """
    check_value("unsure_below", unsure_below, Probability)
    classifier = load_classifier(model)
    opening = Opening(on_bad_image, progress, value_range=classifier.value_range)
    source = open_images(data, opening)
    several = _check_form(classifier, source.train.labels, data)
    if several and unsure_below is not None:
        raise InputError(
            "`unsure_below` holds back answers of one class a photo, and this model gives any number of labels, each from a "
            f"threshold of its own: leave it out. Received: {unsure_below}"
        )
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
            rows = split.labels[unseen]
            labels.append(rows if several else positions[rows])
    if not labels:
        raise InputError(
            f"The model learned from, or was selected by, all {left_out} images of {data!r}: measure it "
            "on others."
        )
    of_all = np.concatenate(labels)
    if several:
        known = np.concatenate(probabilities)[:, positions]
        return _of_labels(classifier, source, known, of_all, left_out)
    logits = np.log(np.maximum(np.concatenate(probabilities), np.finfo(np.float32).tiny))
    positive = _positive(classifier, of_all)
    metrics = classification_metrics(logits, of_all, classifier.class_names, positive)
    if unsure_below is not None:
        metrics["unsure_below"] = held_back(logits, of_all, unsure_below)
    return {"images": metrics, "notes": _notes(classifier, source, left_out)}


def _check_form(classifier: Classifier, labels: np.ndarray, data: str) -> bool:
    """Returns whether a photo may have several labels; the model and the data must agree in that."""
    gives_several = classifier.thresholds is not None
    if gives_several != are_several(labels):
        kinds = "any number of labels", "one class"
        of_model, of_data = kinds if gives_several else kinds[::-1]
        raise InputError(
            f"The model gives a photo {of_model}, and a photo of {data!r} has {of_data}: measure it on data of its kind."
        )
    return gives_several


def _of_labels(
    classifier: Classifier,
    source: ImageSource,
    probabilities: np.ndarray,
    labels: np.ndarray,
    left_out: int,
) -> dict[str, Any]:
    """Measures labels at the model's own thresholds; labels that the data do not have are not measured."""
    thresholds = classifier.thresholds or {}
    names = source.class_names
    clipped = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    metrics = label_metrics(logit(clipped), labels, names, [thresholds[name] for name in names])
    notes = _notes(classifier, source, left_out)
    unmeasured = [name for name in classifier.class_names if name not in names]
    if unmeasured:
        notes.append(f"the data do not say which photos have {names_in_words(unmeasured)}")
    return {"images": metrics, "notes": notes}


def _notes(classifier: Classifier, source: ImageSource, left_out: int) -> list[str]:
    notes = list(source.notes)
    if classifier.path is None and classifier.network is None:
        notes.append(
            "no image is left out: away from its run, an exported file does not say which the model has seen"
        )
    if left_out:
        notes.append(
            f"{left_out} images are left out: the model learned from them or was selected by them"
        )
    return notes


def _positions(class_names: tuple[str, ...], classifier: Classifier, data: str) -> np.ndarray:
    unknown = [name for name in class_names if name not in classifier.class_names]
    if unknown:
        raise InputError(
            f"The model does not know these classes of {data!r}: {', '.join(unknown[:8])}. It "
            f"knows {', '.join(classifier.class_names[:20])}."
        )
    return np.array([classifier.class_names.index(name) for name in class_names])


def _positive(classifier: Classifier, labels: np.ndarray) -> int | None:
    """Returns the positive class of the run; of a model that does not say, the rarer one of two in these images."""
    if len(classifier.class_names) != 2:
        return None
    name = classifier.card.get("positive_class")
    if name in classifier.class_names:
        return list(classifier.class_names).index(name)
    first, second = np.bincount(labels, minlength=2)
    return 0 if first < second else 1


def _probabilities(classifier: Classifier, split: Split, progress: Progress) -> np.ndarray:
    parts = []
    with progress.stage("Classifying", total=len(split)) as stage:
        for start in range(0, len(split), IMAGES_AT_A_TIME):
            indices = range(start, min(start + IMAGES_AT_A_TIME, len(split)))
            parts.append(classifier.predict_probabilities(split.images.encoded(i) for i in indices))
            stage.advance(len(indices))
    return np.concatenate(parts)
