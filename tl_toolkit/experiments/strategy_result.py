"""What a strategy gave over the seeds of a comparison, and by what one is chosen."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.evaluate import evaluate, predict_logits
from tl_toolkit.experiments.selection import Selection
from tl_toolkit.experiments.tested import measure_test
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.progress import Table
from tl_toolkit.report.label_words import mean_figure
from tl_toolkit.report.ladder import ACCURACY, LABELS_RIGHT
from tl_toolkit.report.paired_test import LEVEL, holm, p_text, sign_flip_p

OF_LABELS = "measure", "test_mean_average_precision", "test_macro_f1"


@dataclasses.dataclass(frozen=True)
class StrategyResult:
    """What one strategy gave over the seeds.

    Attributes:
        strategy: Its name, and its options where they are not the defaults.
        test_top1: Test accuracy of each seed's run; of several labels an image, the share of labels that is right, each
            given from probability 0.5 on.
        selection_top1: Likewise, on images that may choose between strategies.
        selection_log_loss: The log loss on them, which decides between strategies of equal accuracy. Of several labels it
            alone decides, since the share that is right hardly sees the rare ones, and it is that of logits which are
            divided by the temperature that suits them best; where classes are made to weigh the same, so do both figures.
        seconds: Training time of each run.
        trained_parameters: Parameters that the strategy trains.
        difference: Mean `test_top1` less that of the best strategy.
        p_value: Whether that difference could be chance, on these test images: of an exact, two-sided permutation
            test over images, which flips the sign of each image's difference in the share of seeds that have it right,
            with Holm's correction for all strategies. All seeds are tested on the same images, so that more seeds are
            no more images. It is about these trainings: how much another draw of images to learn from would change,
            the range over the seeds says. None for the best one itself. Of several labels, an image's difference is in
            how many of them are right: labels of one image are not independent, images are.
        measure: What `test_top1` and `selection_top1` are, in words.
        test_mean_average_precision: Of several labels, of each seed's run, the mean over the labels that occur in the
            test images; None where none does. Empty of one class an image.
        test_macro_f1: Likewise, at the thresholds that the run's classifier has.
    """

    strategy: str
    test_top1: tuple[float, ...]
    selection_top1: tuple[float, ...]
    selection_log_loss: tuple[float, ...]
    seconds: tuple[float, ...]
    trained_parameters: int
    difference: float = 0.0
    p_value: float | None = None
    measure: str = ACCURACY
    test_mean_average_precision: tuple[float | None, ...] = ()
    test_macro_f1: tuple[float | None, ...] = ()

    @property
    def is_beyond_chance(self) -> bool:
        """Whether p is under 0.05."""
        return self.p_value is not None and self.p_value < LEVEL

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as plain values; of one class an image without those of several labels."""
        left_out = OF_LABELS if self.measure == ACCURACY else ()
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if name not in left_out}


@dataclasses.dataclass(frozen=True)
class SeedFigures:
    """What one training gave.

    Attributes:
        is_right: bool[n], of each test image; of several labels bool[n, labels].
        selection_top1: As in `StrategyResult`.
        selection_log_loss: Likewise.
        seconds: Of the training.
        mean_average_precision: Of several labels, on the test images.
        macro_f1: Likewise.
    """

    is_right: np.ndarray
    selection_top1: float
    selection_log_loss: float
    seconds: float
    mean_average_precision: float | None = None
    macro_f1: float | None = None


def measure(trained: TrainedModel, datasets: list[ImageDataset]) -> SeedFigures:
    """Tests a model, and measures it on images that may select.

    Args:
        trained: The model.
        datasets: Those of all seeds.
    """
    if trained.experiment.dataset.has_several_labels:
        return _measure_labels(trained)
    logits, labels = predict_logits(trained.experiment, trained.experiment.dataset.test)
    figures = _selection_figures(trained, datasets)
    return SeedFigures(logits.argmax(axis=1) == labels, *figures, trained.progress.seconds)


def _measure_labels(trained: TrainedModel) -> SeedFigures:
    dataset, tested = trained.experiment.dataset, measure_test(trained)
    assert dataset.validation is not None  # `check_can_choose`
    assert trained.validation_logits is not None
    # Not at the thresholds, which are chosen for F1: for a rare label that gives it to too many photos.
    is_right = (tested.logits >= 0) == (tested.labels > 0)
    selection = Selection.of(trained.experiment.recipe, dataset)
    top1, losses = selection.figures(trained.validation_logits, dataset.validation.labels)
    return SeedFigures(
        is_right,
        top1,
        float(losses.mean()),
        trained.progress.seconds,
        tested.metrics["mean_average_precision"],
        tested.metrics["macro_f1"],
    )


def _selection_figures(trained: TrainedModel, datasets: list[ImageDataset]) -> tuple[float, float]:
    if trained.validation is not None:
        return trained.validation["top1"], trained.validation["log_loss"]
    own = trained.experiment.dataset.train.ids
    others = [d.train.take(np.flatnonzero(~np.isin(d.train.ids, own))) for d in datasets]
    measured = [evaluate(trained.experiment, split) for split in others if len(split)]
    if not measured:
        raise InputError(
            "All seeds learn from the same images, and none are left to choose a strategy by: set "
            "validation_fraction, or labels_per_class to fewer than the classes have."
        )
    sizes = [metrics["examples"] for metrics in measured]
    top1, log_loss = (
        float(np.average([metrics[name] for metrics in measured], weights=sizes))
        for name in ("top1", "log_loss")
    )
    return top1, log_loss


def selection_score(result: StrategyResult) -> tuple[float, ...]:
    """Higher is better, compared from the left."""
    log_loss = float(np.mean(result.selection_log_loss))
    if result.measure == LABELS_RIGHT:
        return (-log_loss,)
    return float(np.mean(result.selection_top1)), -log_loss


def strategy_result(
    label: str, trained: TrainedModel, runs: Sequence[SeedFigures]
) -> StrategyResult:
    """Returns what the trainings of one strategy gave together; `trained` is one of them."""
    several = trained.experiment.dataset.has_several_labels
    of_labels = runs if several else ()
    return StrategyResult(
        strategy=label,
        test_top1=tuple(float(run.is_right.mean()) for run in runs),
        selection_top1=tuple(run.selection_top1 for run in runs),
        selection_log_loss=tuple(run.selection_log_loss for run in runs),
        seconds=tuple(run.seconds for run in runs),
        trained_parameters=trained.experiment.plan.trained_parameters,
        measure=LABELS_RIGHT if several else ACCURACY,
        test_mean_average_precision=tuple(run.mean_average_precision for run in of_labels),
        test_macro_f1=tuple(run.macro_f1 for run in of_labels),
    )


def against_best(
    results: Sequence[StrategyResult], best: str, answers: Mapping[str, Sequence[np.ndarray]]
) -> list[StrategyResult]:
    """Returns the results with their difference from the best one, and whether it could be chance.

    Args:
        results: One a strategy.
        best: Name of the one that the others are compared with; it must not be chosen by the test images.
        answers: Of each strategy, the `is_right` of each seed's `SeedFigures`; the images are the same for all.
    """
    # An image's labels are counted together: they are not independent.
    times_right = {
        name: np.sum([right.reshape(len(right), -1).sum(axis=1) for right in of_seeds], axis=0)
        for name, of_seeds in answers.items()
    }
    others = [result.strategy for result in results if result.strategy != best]
    p_values = dict(
        zip(
            others,
            holm([sign_flip_p(times_right[n] - times_right[best]) for n in others]),
            strict=True,
        )
    )
    of_best = np.mean([of_seed.mean() for of_seed in answers[best]])
    return [
        dataclasses.replace(
            result,
            difference=float(np.mean(result.test_top1) - of_best),
            p_value=p_values[result.strategy],
        )
        if result.strategy != best
        else result
        for result in results
    ]


def differences_in_words(results: Sequence[StrategyResult], best: str, images: int) -> str:
    """Returns a sentence that says which strategies differ from the best one beyond chance."""
    others = [result for result in results if result.strategy != best]
    one, several, less, more = "is", "are", "less often right", "more often right"
    if results[0].measure == LABELS_RIGHT:
        one, several, less, more = "has", "have", "fewer labels right", "more labels right"
    parts = []
    for is_less, words in ((True, less), (False, more)):
        names = [r.strategy for r in others if r.is_beyond_chance and (r.difference < 0) == is_less]
        if names:
            verb = one if len(names) == 1 else several
            parts.append(f"{_and(names)} {verb} {words} than {best} beyond chance")
    alike = [result.strategy for result in others if not result.is_beyond_chance]
    if alike:
        parts.append(f"{_and(alike)} cannot be told from {best}")
    return f"On these {images} test images, {'; '.join(parts)}." if parts else ""


def _and(names: Sequence[str]) -> str:
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def strategies_table(results: Sequence[StrategyResult]) -> Table:
    """Returns a row a strategy: test accuracy over the seeds, the difference from the best one, and its price.

    Of several labels an image: the share of them that is right, the mean average precision and the macro F1.
    """
    rows = [
        (
            result.strategy,
            *_measured(result),
            f"{statistics.median(result.seconds):.1f}",
            f"{result.trained_parameters:,}",
        )
        for result in results
    ]
    measured = "test\naccuracy", "range", "against\nthe best"
    if results[0].measure == LABELS_RIGHT:
        measured = "labels right\nand range", "against\nthe best", "mean AP\nmacro F1"
    return Table(("strategy", *measured, "seconds", "trained\nparameters"), tuple(rows))


def _measured(result: StrategyResult) -> tuple[str, str, str]:
    mean = f"{statistics.fmean(result.test_top1):.3f}"
    over_seeds = f"{min(result.test_top1):.3f}–{max(result.test_top1):.3f}"
    against = "–"
    if result.p_value is not None:
        against = f"{100 * result.difference:+.1f} pts\np {p_text(result.p_value, '= ')}"
    if result.measure != LABELS_RIGHT:
        return mean, over_seeds, against
    figures = result.test_mean_average_precision, result.test_macro_f1
    return f"{mean}\n{over_seeds}", against, "\n".join(map(mean_figure, figures))
