"""What a strategy gave over the seeds of a comparison, and by what one is chosen."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from tl_toolkit.data.dataset import ImageDataset
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.evaluate import evaluate, predict_logits
from tl_toolkit.experiments.train_and_validate import TrainedModel
from tl_toolkit.progress import Table
from tl_toolkit.report.paired_test import LEVEL, holm, p_text, sign_flip_p


@dataclasses.dataclass(frozen=True)
class StrategyResult:
    """What one strategy gave over the seeds.

    Attributes:
        strategy: Its name, and its options where they are not the defaults.
        test_top1: Test accuracy of each seed's run.
        selection_top1: Accuracy of each seed's run on images that may choose between strategies.
        selection_log_loss: The log loss on them, which decides between strategies of equal accuracy.
        seconds: Training time of each run.
        trained_parameters: Parameters that the strategy trains.
        difference: Mean test accuracy less that of the best strategy.
        p_value: Whether that difference could be chance, on these test images: of an exact, two-sided permutation
            test over images, which flips the sign of each image's difference in the share of seeds that have it right,
            with Holm's correction for all strategies. All seeds are tested on the same images, so that more seeds are
            no more images. It is about these trainings: how much another draw of images to learn from would change,
            the range over the seeds says. None for the best one itself.
    """

    strategy: str
    test_top1: tuple[float, ...]
    selection_top1: tuple[float, ...]
    selection_log_loss: tuple[float, ...]
    seconds: tuple[float, ...]
    trained_parameters: int
    difference: float = 0.0
    p_value: float | None = None

    @property
    def is_beyond_chance(self) -> bool:
        """Whether p is under 0.05."""
        return self.p_value is not None and self.p_value < LEVEL


@dataclasses.dataclass(frozen=True)
class SeedFigures:
    """What one training gave.

    Attributes:
        is_right: bool[n], of each test image.
        selection_top1: Accuracy on images that may choose between strategies.
        selection_log_loss: The log loss on them.
        seconds: Of the training.
    """

    is_right: np.ndarray
    selection_top1: float
    selection_log_loss: float
    seconds: float


def measure(trained: TrainedModel, datasets: list[ImageDataset]) -> SeedFigures:
    """Tests a model, and measures it on images that may select.

    Args:
        trained: The model.
        datasets: Those of all seeds.
    """
    logits, labels = predict_logits(trained.experiment, trained.experiment.dataset.test)
    figures = _selection_figures(trained, datasets)
    return SeedFigures(logits.argmax(axis=1) == labels, *figures, trained.progress.seconds)


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


def selection_score(result: StrategyResult) -> tuple[float, float]:
    """Higher is better, compared from the left."""
    return float(np.mean(result.selection_top1)), -float(np.mean(result.selection_log_loss))


def strategy_result(
    label: str, trained: TrainedModel, runs: Sequence[SeedFigures]
) -> StrategyResult:
    """Returns what the trainings of one strategy gave together; `trained` is one of them."""
    return StrategyResult(
        strategy=label,
        test_top1=tuple(float(run.is_right.mean()) for run in runs),
        selection_top1=tuple(run.selection_top1 for run in runs),
        selection_log_loss=tuple(run.selection_log_loss for run in runs),
        seconds=tuple(run.seconds for run in runs),
        trained_parameters=trained.experiment.plan.trained_parameters,
    )


def against_best(
    results: Sequence[StrategyResult], best: str, answers: Mapping[str, Sequence[np.ndarray]]
) -> list[StrategyResult]:
    """Returns the results with their difference from the best one, and whether it could be chance.

    Args:
        results: One a strategy.
        best: Name of the one that the others are compared with; it must not be chosen by the test images.
        answers: Of each strategy, a bool[n] a seed: which test images it has right; the images are the same for all.
    """
    times_right = {
        name: np.stack(list(of_seeds)).astype(np.int64).sum(axis=0)
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
    parts = []
    for is_less, word in ((True, "less"), (False, "more")):
        names = [r.strategy for r in others if r.is_beyond_chance and (r.difference < 0) == is_less]
        if names:
            parts.append(
                f"{_and(names)} {'is' if len(names) == 1 else 'are'} {word} often right than {best} beyond chance"
            )
    alike = [result.strategy for result in others if not result.is_beyond_chance]
    if alike:
        parts.append(f"{_and(alike)} cannot be told from {best}")
    return f"On these {images} test images, {'; '.join(parts)}." if parts else ""


def _and(names: Sequence[str]) -> str:
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def strategies_table(results: Sequence[StrategyResult]) -> Table:
    """Returns a row a strategy: test accuracy over the seeds, the difference from the best one, and its price."""
    rows = [
        (
            result.strategy,
            f"{statistics.fmean(result.test_top1):.3f}",
            f"{min(result.test_top1):.3f}–{max(result.test_top1):.3f}",
            f"{100 * result.difference:+.1f} pts\np {p_text(result.p_value, '= ')}"
            if result.p_value is not None
            else "–",
            f"{statistics.median(result.seconds):.1f}",
            f"{result.trained_parameters:,}",
        )
        for result in results
    ]
    columns = (
        "strategy",
        "test\naccuracy",
        "range",
        "against\nthe best",
        "seconds",
        "trained\nparameters",
    )
    return Table(columns, tuple(rows))
