"""The page of a comparison: several strategies on the same images, over several seeds."""

from __future__ import annotations

import dataclasses
import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tl_toolkit.report.label_metrics import are_of_labels
from tl_toolkit.report.label_words import commoner_answers, mean_figure
from tl_toolkit.report.ladder import ACCURACY, LABELS_RIGHT, duration, on_test
from tl_toolkit.report.page.advice import commonest
from tl_toolkit.report.page.interval_chart import IntervalRow, interval_chart
from tl_toolkit.report.page.run_files import RunFiles
from tl_toolkit.report.page.shell import percent, render_page, shortened
from tl_toolkit.report.page.xy_chart import Axis, Series, xy_chart
from tl_toolkit.report.paired_test import LEVEL, p_text

FIGURES_OF_LABELS = "test_mean_average_precision", "test_macro_f1"

Result = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Reference:
    """An answer that looks at no photo.

    Attributes:
        name: Beside its line in the chart.
        share: What it has right: photos, or labels.
        sentence: How often it is right.
    """

    name: str
    share: float
    sentence: str


def comparison_page(results: Sequence[Result], best: RunFiles, name: str) -> str:
    """Returns the page as HTML.

    Args:
        results: A value a strategy, as `comparison.json` has them.
        best: The files of the best one's run.
        name: The comparison's folder, as the user knows it.
    """
    chosen = next(result for result in results if result["p_value"] is None)
    recipe, test = best.recipe, best.metrics["test"]
    reference, measure = _reference(test), chosen.get("measure", ACCURACY)
    several = measure == LABELS_RIGHT
    accuracies = {result["strategy"]: statistics.fmean(result["test_top1"]) for result in results}
    seeds = len(chosen["test_top1"])
    # Only where it is near enough to say something: it would press all others to one side.
    near = reference.share > min(min(result["test_top1"]) for result in results) - 0.25
    return render_page(
        "label_comparison.html.j2" if several else "comparison.html.j2",
        f"{len(results)} strategies on {recipe['data']}",
        measured=measure.capitalize(),
        asked=_asked(results, best),
        best=chosen["strategy"],
        accuracy=accuracies[chosen["strategy"]],
        lowest=min(chosen["test_top1"]),
        highest=max(chosen["test_top1"]),
        seeds=seeds,
        precision=mean_figure(chosen.get("test_mean_average_precision", ())),
        macro_f1=mean_figure(chosen.get("test_macro_f1", ())),
        test=test,
        sentences=_sentences(results, chosen, accuracies, reference),
        chart=interval_chart(
            f"{on_test(measure).capitalize()} of each strategy",
            on_test(measure),
            [_row(result) for result in sorted(results, key=lambda r: -accuracies[r["strategy"]])],
            [(reference.name, reference.share)] if near else [],
        ),
        price=_price(results, accuracies, on_test(measure)),
        columns=(
            "strategy",
            measure if several else on_test(measure),
            "range",
            "against the best",
            "p",
            *(("mean AP", "macro F1") if several else ()),
            "seconds",
            "trained parameters",
        ),
        rows=[_cells(result, accuracies) for result in results],
        commands=[
            (
                "train the best again",
                f"tl-toolkit train --recipe {shlex.quote(f'{name}/best/recipe.json')} --output my_run",
            ),
            ("ask it about a photo", f"tl-toolkit predict {shlex.quote(f'{name}/best')} PHOTO.jpg"),
            ("make this page anew", f"tl-toolkit report {shlex.quote(name)}"),
        ],
    )


def _reference(test: Mapping[str, Any]) -> Reference:
    if are_of_labels(test):
        share = commoner_answers(test)
        sentence = f"Giving each label to all photos or to none, whichever is right more often, would have {percent(share)} of the labels right."
        return Reference("the same for all photos", share, sentence)
    name, share = commonest(test)
    sentence = f"Always saying “{name}” would be right on {percent(share)}."
    return Reference(f"always “{shortened(name)}”", share, sentence)


def _asked(results: Sequence[Result], best: RunFiles) -> list[tuple[str, str]]:
    recipe, metrics = best.recipe, best.metrics
    seeds, test = len(results[0]["test_top1"]), metrics["test"]
    labels = f"{recipe.get('labels_per_class') or 'all'} a class"
    if are_of_labels(test):
        labels = ""  # said of the images
    asked = [
        ("images", metrics.get("images") or recipe["data"]),
        ("labels", labels),
        ("trainings", f"{len(results)} strategies, {seeds} seed{'s' * (seeds > 1)} each"),
        ("tested on", f"the same {test['examples']:,} photos"),
        ("start", metrics.get("facts", {}).get("started from", "").partition(" (")[0]),
    ]
    return [(what, value) for what, value in asked if value]


def _row(result: Result) -> IntervalRow:
    values = result["test_top1"]
    mean = statistics.fmean(values)
    return IntervalRow(
        result["strategy"],
        mean,
        min(values),
        max(values),
        values if len(values) > 1 else (),
        percent(mean),
    )


def _cells(result: Result, accuracies: Mapping[str, float]) -> tuple[str, ...]:
    values, p_value = result["test_top1"], result["p_value"]
    return (
        result["strategy"],
        percent(accuracies[result["strategy"]]),
        f"{percent(min(values))} to {percent(max(values))}",
        "the best"
        if p_value is None
        else f"{100 * result['difference']:+.1f} points".replace("-", "−"),
        "–" if p_value is None else p_text(p_value),
        *(mean_figure(result[name]) for name in FIGURES_OF_LABELS if name in result),
        duration(statistics.median(result["seconds"])),
        f"{result['trained_parameters']:,}",
    )


def _price(results: Sequence[Result], accuracies: Mapping[str, float], measured: str) -> Any:
    """Draws accuracy, or what `measured` says, by the seconds of a training."""
    seconds = [statistics.median(result["seconds"]) for result in results]
    return xy_chart(
        f"Mean {measured} by the seconds of a training",
        Axis("median seconds of a training", is_log=max(seconds) > 5 * min(seconds)),
        Axis(f"mean {measured}", is_percent=True),
        [
            Series(result["strategy"], [took], [accuracies[result["strategy"]]], "points")
            for result, took in zip(results, seconds, strict=True)
        ],
    )


def _sentences(
    results: Sequence[Result],
    chosen: Result,
    accuracies: Mapping[str, float],
    reference: Reference,
) -> list[tuple[str, str]]:
    """What the figures say, as (finding, what to do)."""
    others = [result for result in results if result["p_value"] is not None]
    same = [r["strategy"] for r in others if r["p_value"] >= LEVEL]
    worse = [r["strategy"] for r in others if r["p_value"] < LEVEL and r["difference"] < 0]
    better = [r["strategy"] for r in others if r["p_value"] < LEVEL and r["difference"] > 0]
    said = []
    name_of = f"“{chosen['strategy']}”"
    less, more = f"Less often right than {name_of}", "More often right on the test photos"
    if chosen.get("measure") == LABELS_RIGHT:
        less, more = f"Fewer labels right than {name_of}", "More labels right on the test photos"
    if worse:
        said.append((f"{less} beyond chance: {_listed(worse)}.", ""))
    if better:
        said.append(
            (
                f"{more} beyond chance: {_listed(better)}.",
                "The best was chosen without the test photos, so another may turn out better on them: with more photos to "
                "choose by this happens less.",
            )
        )
    if same:
        took = {r["strategy"]: statistics.median(r["seconds"]) for r in results}
        cheapest = min([chosen["strategy"], *same], key=lambda strategy: took[strategy])
        action = "It is the cheapest of these to train, too."
        if cheapest != chosen["strategy"]:
            action = (
                f"Of these, “{cheapest}” is the cheapest to train: {duration(took[cheapest])} against "
                f"{duration(took[chosen['strategy']])}."
            )
        said.append((f"These test photos cannot tell from it: {_listed(same)}.", action))
    gain = 100 * (accuracies[chosen["strategy"]] - reference.share)
    said.append((reference.sentence, f"The best is {gain:.1f} points above that."))
    return said


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)
