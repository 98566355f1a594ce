"""What to do next, in sentences that each follow from a figure of the run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.page.shell import percent
from tl_toolkit.report.paired_test import Z

WIDE = 0.08  # of a 95% interval: it says little then
AIM = 0.03  # half of an interval that says something
LARGE_GAP, LOW_ON_TRAINING = 0.1, 0.85
CONFIDENT = 0.95
FEWEST_OF_PAIR = 3
UNEVEN = 3.0  # times as many photos in the largest class as in the smallest
MUCH_LOWER = 0.15  # of a class's recall, than that of all
BADLY_CALIBRATED = 0.05
MOST = 5  # sentences


@dataclasses.dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes:
        finding: The figure that it follows from.
        action: What to do about it.
        anchor: Section of the page that shows it; empty: none.
    """

    finding: str
    action: str
    anchor: str = ""


@dataclasses.dataclass(frozen=True)
class Trained:
    """What is known of a training.

    Attributes:
        strategy: Its name, such as `"new_head"`.
        is_climbed: Whether `"auto"` chose it.
        training_top1: On the training images, as training saw them; None where it was not measured.
        validation_top1: On the validation images, of the weights that were kept; None likewise.
        class_balance: The recipe's.
    """

    strategy: str
    is_climbed: bool = False
    training_top1: float | None = None
    validation_top1: float | None = None
    class_balance: str = "none"


def advise(test: Mapping[str, Any], table: AnswerTable | None, trained: Trained) -> list[Advice]:
    """Returns what to do, the most pressing first, at most `MOST`.

    Args:
        test: `classification_metrics`.
        table: The answers behind them; None where there are none to read.
        trained: The training.
    """
    said = [
        _no_better_than_commonest(test),
        _few_test_photos(test),
        _gap(trained),
        *([_surely_wrong(table), _confused_pair(table)] if table is not None else []),
        _weak_class(test, trained),
        _calibration(test),
        _more_of_the_network(test, trained),
    ]
    found = [one for one in said if one is not None]
    if not found:
        found = [
            Advice(
                "Nothing in these figures calls for a change.",
                "Try it on photos from where it will be used: tl-toolkit evaluate RUN folder:more_photos.",
            )
        ]
    return found[:MOST]


def commonest(test: Mapping[str, Any]) -> tuple[str, float]:
    """Returns the class that most test photos are of, and how often always saying it would be right."""
    name, figures = max(test["classes"].items(), key=lambda item: item[1]["support"])
    return name, figures["support"] / test["examples"]


def _no_better_than_commonest(test: Mapping[str, Any]) -> Advice | None:
    name, share = commonest(test)
    if test["top1_interval"][0] > share:
        return None
    return Advice(
        f"It is not clearly better than always saying “{name}”, which is right on {percent(share)}.",
        "Look first at whether the labels are right and the photos show what decides the class.",
        "losses",
    )


def _few_test_photos(test: Mapping[str, Any]) -> Advice | None:
    low, high = test["top1_interval"]
    if high - low <= WIDE:
        return None
    middle = (low + high) / 2
    needed = math.ceil(Z**2 * middle * (1 - middle) / AIM**2 / 50) * 50
    return Advice(
        f"{test['examples']} test photos leave {100 * (high - low):.0f} points between the ends of the interval.",
        f"Test on about {needed:,} photos to know the accuracy to {100 * AIM:.0f} points either way; before that, small "
        "differences between runs mean nothing.",
    )


def _gap(trained: Trained) -> Advice | None:
    training, validation = trained.training_top1, trained.validation_top1
    if training is None or validation is None:
        return None
    if training - validation > LARGE_GAP:
        return Advice(
            f"It has {percent(training)} of the training photos right, and {percent(validation)} of the validation photos.",
            "It learned training photos by heart: more photos help most; then a stronger augmentation, or fewer trained "
            "layers.",
            "training",
        )
    if training < LOW_ON_TRAINING and trained.strategy in ("last_layers", "full_fine_tune"):
        return Advice(
            f"Even of the training photos it has only {percent(training)} right.",
            "Train for longer (--epochs), or at a higher learning rate: tl-toolkit find-learning-rate suggests one.",
            "training",
        )
    return None


def _surely_wrong(table: AnswerTable) -> Advice | None:
    count = int((~table.is_right & (table.confidence >= CONFIDENT)).sum())
    if not count:
        return None
    photos = "1 wrong answer was" if count == 1 else f"{count} wrong answers were"
    return Advice(
        f"{photos} given with a probability of {percent(CONFIDENT, 0)} or more.",
        "Look at these photos first: wrong labels are most often among them.",
        "losses",
    )


def confused_pairs(table: AnswerTable) -> list[tuple[int, int, int, int]]:
    """Returns (a, b, photos of a taken for b, photos of b taken for a), the most often confused pair first."""
    wrong = np.flatnonzero(~table.is_right)
    cells, counts = np.unique(
        np.stack([table.labels[wrong], table.said[wrong]], axis=1), axis=0, return_counts=True
    )
    of_pair: dict[tuple[int, int], list[int]] = {}
    for (truth, said), count in zip(cells.tolist(), counts.tolist(), strict=True):
        both = of_pair.setdefault((min(truth, said), max(truth, said)), [0, 0])
        both[int(truth > said)] += count
    ordered = sorted(of_pair.items(), key=lambda item: (-sum(item[1]), item[0]))
    # The direction with more photos first.
    return [
        (a, b, there, back) if there >= back else (b, a, back, there)
        for (a, b), (there, back) in ordered
    ]


def _confused_pair(table: AnswerTable) -> Advice | None:
    wrong, pairs = int((~table.is_right).sum()), confused_pairs(table)
    if len(table.class_names) < 3 or not pairs or pairs[0][2] + pairs[0][3] < FEWEST_OF_PAIR:
        return None
    a, b, there, back = pairs[0]
    names = table.class_names
    return Advice(
        f"“{names[a]}” and “{names[b]}” are behind {there + back} of {wrong} wrong answers.",
        "Look at these photos: a clearer rule for labelling the two, or more photos of both, does more than training longer.",
        "pairs",
    )


def _weak_class(test: Mapping[str, Any], trained: Trained) -> Advice | None:
    occurring = {name: c for name, c in test["classes"].items() if c["support"]}
    name, weakest = min(occurring.items(), key=lambda item: item[1]["recall"])
    sizes: Sequence[int] = [c["support"] for c in occurring.values()]
    if test["balanced_accuracy"] - weakest["recall"] < MUCH_LOWER:
        return None
    finding = f"Of {weakest['support']} photos of “{name}” only {percent(weakest['recall'], 0)} are found."
    if max(sizes) >= UNEVEN * min(sizes) and weakest["support"] <= np.median(sizes):
        action = "The classes are uneven: add photos of the rare ones"
        if trained.class_balance == "none":
            action += ", or try --class-balance sampling"
        return Advice(finding, action + ".", "classes")
    if test.get("positive_class") == name:
        action = "Answer it from a lower probability on (see what that costs), or add photos like those that were missed."
        return Advice(finding, action, "confidence")
    return Advice(finding, "Add photos of it that are like those that were missed.", "classes")


def _calibration(test: Mapping[str, Any]) -> Advice | None:
    error = test["calibration_error"]
    if error <= BADLY_CALIBRATED or test["examples"] < 100:  # of few photos it is large by chance
        return None
    return Advice(
        f"Its probabilities are off by {100 * error:.0f} points on average.",
        "Choose thresholds by the curves below, and not by what the probabilities say; with 200 validation photos or more "
        "a run calibrates them.",
        "confidence",
    )


def _more_of_the_network(test: Mapping[str, Any], trained: Trained) -> Advice | None:
    if trained.strategy != "new_head" or trained.is_climbed or test["top1"] > 0.99:
        return None
    return Advice(
        "Only a new head was trained.",
        "tl-toolkit train --strategy auto says what training more of the network costs, and keeps it where it is worth it.",
    )
