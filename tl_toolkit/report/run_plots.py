"""What the plots of a run are drawn from: plain data, that another process can be handed.

Neither TensorFlow nor matplotlib is imported for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tl_toolkit.report.curves import HeldBackCurve, LabelCurve, RankingCurves, Reliability
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
class AnswerPlots:
    """What a model says of the test images.

    Attributes:
        class_names: In the order of the logits.
        confusion_matrix: int[classes][classes], rows the true classes.
        reliability: Of the answers as served, and as trained where that differs, by what it is called in the plot.
        held_back: Of the answers as served.
        ranking: Of a positive class of two; None: there is none, or the test has but one class.
        positive: Its name.
        thresholds: `threshold_rows` of it.
    """

    class_names: Sequence[str]
    confusion_matrix: Sequence[Sequence[int]]
    reliability: Mapping[str, Reliability]
    held_back: HeldBackCurve
    ranking: RankingCurves | None = None
    positive: str = ""
    thresholds: Sequence[Mapping[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class RunPlots:
    """All that is drawn of a run.

    Attributes:
        answers: Of the test; of images with several labels, a curve for each of the commonest.
        history: A row an epoch, or a row a strength of a head that was solved for; None where there was one strength.
        chosen_strength: Which of its rows was chosen; None of a training by steps.
        block_shares: Each block's share of the head's kernel, of a head on all blocks.
        sheet: The contact sheet; None where training saw the images as they are.
        rungs: What strategy `"auto"` climbed, of which at least one was measured; else none.
        selected_on: The images that selected among them, in words.
    """

    answers: AnswerPlots | Sequence[LabelCurve]
    history: Sequence[dict[str, float]] | None
    chosen_strength: int | None = None
    block_shares: Mapping[str, float] | None = None
    sheet: ContactSheet | None = None
    rungs: Sequence[Rung] = ()
    selected_on: str = ""
