"""What the plots of a run are drawn from: plain data, that another process can be handed.

Neither TensorFlow nor matplotlib is imported for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tl_toolkit.report.ladder import Rung

CONTACT_SHEET = "contact_sheet.png"
CONFUSION_MATRIX = "confusion_matrix.png"
RELIABILITY, HELD_BACK, ROC = "reliability.png", "held_back.png", "roc.png"
LABEL_CURVES = "label_curves.png"
LADDER_PLOT = "ladder.png"
# Of a training by steps, and of a head that was solved for.
TRAINING_CURVES = "training_curves.png"
REGULARISATION_PATH, BLOCK_SHARES = "regularisation_path.png", "blocks.png"


@dataclasses.dataclass(frozen=True)
class SheetRow:
    """One training image on a contact sheet.

    Attributes:
        name: Of its class.
        images: uint8[columns, size, size, 3], RGB.
        captions: What is said below each, a pair of (share, class name) for every image in it; none for most.
    """

    name: str
    images: np.ndarray
    captions: Sequence[Sequence[tuple[float, str]]]


@dataclasses.dataclass(frozen=True)
class ContactSheet:
    """Training images as evaluation sees them, and as training saw them.

    Attributes:
        rows: One an image.
        column_names: Above the images.
        title: Above all.
    """

    rows: Sequence[SheetRow]
    column_names: Sequence[str]
    title: str


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model says of the test images.

    Attributes:
        class_names: In the order of the logits.
        logits: float32[n, classes], as served.
        labels: int64[n], or uint8[n, labels] of images with several labels.
        uncalibrated: Logits as trained, where they are served divided by a temperature; None: as they are.
        confusion_matrix: int[classes][classes], rows the true classes; None of images with several labels.
        positive: Number of the positive class of two; None: there is none, or the test has but one class.
        thresholds: `threshold_rows` of it.
    """

    class_names: Sequence[str]
    logits: np.ndarray
    labels: np.ndarray
    uncalibrated: np.ndarray | None = None
    confusion_matrix: Sequence[Sequence[int]] | None = None
    positive: int | None = None
    thresholds: Sequence[dict[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class RunPlots:
    """All that is drawn of a run.

    Attributes:
        answers: Of the test.
        history: A row an epoch, or a row a strength of a head that was solved for; None where there was one strength.
        chosen_strength: Which of its rows was chosen; None of a training by steps.
        block_shares: Each block's share of the head's kernel, of a head on all blocks.
        sheet: The contact sheet; None where training saw the images as they are.
        rungs: What strategy `"auto"` climbed, of which at least one was measured; else none.
        selected_on: The images that selected among them, in words.
    """

    answers: Answers
    history: Sequence[dict[str, float]] | None
    chosen_strength: int | None = None
    block_shares: Mapping[str, float] | None = None
    sheet: ContactSheet | None = None
    rungs: Sequence[Rung] = ()
    selected_on: str = ""
