"""The page of a search: its trials, a map of them, and what the best one gave when it was trained again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tl_toolkit.report.label_metrics import are_of_labels
from tl_toolkit.report.page.interval_chart import IntervalRow, interval_chart
from tl_toolkit.report.page.run_files import strategy_in_words
from tl_toolkit.report.page.shell import percent, render_page
from tl_toolkit.report.page.svg import limits
from tl_toolkit.report.page.xy_chart import Axis, Series, xy_chart

COMPLETED = "completed"
OBJECTIVES = {
    "val_loss": "log loss in validation",
    "val_top1": "accuracy in validation",
    "val_balanced_accuracy": "balanced accuracy in validation",
    "val_mean_average_precision": "mean average precision in validation",
    "val_macro_f1": "macro F1 in validation, labels given from probability 0.5 on",
}
# Columns of `trials.csv` that are no axes.
FIGURES = ("trial", "status", *OBJECTIVES, "executions", "seconds", "message")
BANDS = ("best third", "middle third", "last third")
LABELLED = 3  # of the best trials, on the map
NEAR_THE_EDGE = 1.15  # of the range, as a ratio

Trial = Mapping[str, str]


def search_page(
    trials: Sequence[Trial],
    search: Mapping[str, Any],
    recipe: Mapping[str, Any],
    retrained: Sequence[tuple[str, Mapping[str, Any]]],
    name: str,
) -> str:
    """Returns the page as HTML.

    Args:
        trials: Rows of `trials.csv`.
        search: What `search.json` holds.
        recipe: The best one.
        retrained: Of each run with the best recipe its folder's name and `metrics.json`.
        name: The search's folder, as the user knows it.
    """
    objective = search["objective"]
    axes = [column for column in trials[0] if column not in FIGURES]
    ranked = ranked_trials(trials, objective)
    best = ranked[0]
    failed = [trial for trial in trials if trial["status"] != COMPLETED]
    several = "val_mean_average_precision" in trials[0]  # labels a photo
    accuracy = "val_mean_average_precision" if several else "val_top1"
    in_words = "mean average precision" if several else "accuracy"
    columns = ("rank", "trial", *axes, in_words, "log loss", "seconds")
    return render_page(
        "search.html.j2",
        f"Search on {recipe['data']}",
        asked=[
            ("images", str(recipe["data"])),
            ("strategy", strategy_in_words(dict(recipe["strategy"]))),
            ("tuner", str(search["tuner"])),
            ("trials", f"{len(trials)}" + (f", {len(failed)} of them failed" if failed else "")),
            ("compared by", f"{OBJECTIVES[objective]}; test photos were not looked at"),
        ],
        objective=OBJECTIVES[objective],
        score=_score(best, objective),
        choices=[(axis, _value(best[axis])) for axis in axes],
        sentences=_sentences(ranked, objective, retrained),
        map=search_map(trials, objective),
        progress=_progress(trials, objective),
        columns=columns,
        rows=[
            (
                str(rank + 1),
                trial["trial"],
                *(_value(trial[axis]) for axis in axes),
                percent(float(trial[accuracy])),
                f"{float(trial['val_loss']):.4f}",
                f"{float(trial['seconds']):.1f}",
            )
            for rank, trial in enumerate(ranked)
        ],
        failed=[(trial["trial"], trial["status"], trial["message"]) for trial in failed],
        retrained=_retrained(retrained),
        links=[f"retrained/{place}/report.html" for place, _ in retrained],
        commands=[
            (
                "train the best",
                f"tl-toolkit train --recipe {shlex.quote(f'{name}/best_recipe.json')} --output my_run",
            ),
            ("make this page anew", f"tl-toolkit report {shlex.quote(name)}"),
        ],
        recipe=json.dumps({k: v for k, v in recipe.items() if v is not None}, indent=2),
    )


def ranked_trials(trials: Sequence[Trial], objective: str) -> list[Trial]:
    """Returns the completed trials, the best first; between equals the log loss decides."""
    completed = [trial for trial in trials if trial["status"] == COMPLETED]
    sign = 1 if objective == "val_loss" else -1
    return sorted(completed, key=lambda t: (sign * float(t[objective]), float(t["val_loss"])))


def search_map(trials: Sequence[Trial], objective: str) -> Markup | None:
    """Draws trials by batch size and learning rate, in thirds by rank, which marks tell apart too."""
    if not {"batch_size", "learning_rate"} <= set(trials[0]):
        return None
    ranked = ranked_trials(trials, objective)
    placed = [trial for trial in ranked if trial["batch_size"] and trial["learning_rate"]]
    if not placed:
        return None
    third = -(-len(placed) // len(BANDS))
    series = []
    for number, band in enumerate(BANDS):
        some = placed[number * third : (number + 1) * third]
        labels = [f"{rank + 1}." for rank in range(LABELLED)] if number == 0 else []
        series.append(_points(band, some, labels))
    failed = [
        t for t in trials if t["status"] != COMPLETED and t["batch_size"] and t["learning_rate"]
    ]
    if failed:
        series.append(_points("failed", failed, ["failed"] * len(failed)))
    sizes = sorted({float(trial["batch_size"]) for trial in [*placed, *failed]})
    return xy_chart(
        "Trials by batch size and learning rate",
        Axis("batch size", limits(sizes, 0.12, is_log=True), is_log=True, ticks=sizes),
        Axis("learning rate", is_log=True),
        series,
    )


def _points(name: str, trials: Sequence[Trial], labels: Sequence[str]) -> Series:
    x, y = ([float(trial[axis]) for trial in trials] for axis in ("batch_size", "learning_rate"))
    return Series(name, x, y, "points", labels)


def _progress(trials: Sequence[Trial], objective: str) -> Markup:
    """Draws what each trial gave in turn, and the best so far."""
    completed = [trial for trial in trials if trial["status"] == COMPLETED]
    places = [float(trial["trial"]) for trial in completed]
    values = [float(trial[objective]) for trial in completed]
    pick = min if objective == "val_loss" else max
    best = [pick(values[: number + 1]) for number in range(len(values))]
    return xy_chart(
        f"{OBJECTIVES[objective]} of each trial",
        Axis("trial", is_whole=True),
        Axis(OBJECTIVES[objective], is_percent=objective != "val_loss"),
        [Series("best so far", places, best, "step"), Series("trial", places, values, "points")],
    )


def _sentences(
    ranked: Sequence[Trial], objective: str, retrained: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[tuple[str, str]]:
    said = []
    if len(ranked) > 1:
        first, second = (float(trial[objective]) for trial in ranked[:2])
        said.append(
            (
                f"The best trial’s {OBJECTIVES[objective]} is {_score(ranked[0], objective)}, the second one’s "
                f"{_score(ranked[1], objective)}.",
                "The trials near the top are as good as one another: take the one that is cheapest."
                if abs(first - second) <= 0.02 * abs(first)
                else "",
            )
        )
    rates = [float(trial["learning_rate"]) for trial in ranked if trial.get("learning_rate")]
    if len(rates) > 2 and (
        rates[0] * NEAR_THE_EDGE >= max(rates) or rates[0] <= NEAR_THE_EDGE * min(rates)
    ):
        said.append(
            (
                f"The best learning rate, {rates[0]:.3g}, is at an end of those that were tried.",
                "Search on beyond it: --axis learning_rate=LOW..HIGH.",
            )
        )
    if not retrained:
        said.append(
            (
                "The best trial was chosen by validation photos, which flatters it a little.",
                "tl-toolkit train with the best recipe, or --retrain 3, says what it gives on test photos.",
            )
        )
    return said


def _retrained(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> Markup | None:
    if not runs:
        return None
    rows, what = [], "test accuracy"
    for place, metrics in runs:
        test = metrics["test"]
        if are_of_labels(test):
            right, (low, high) = test["subset_accuracy"], test["subset_accuracy_interval"]
            rows.append(IntervalRow(place.replace("_", " "), right, low, high, text=percent(right)))
            what = "share of test photos with all labels right"
            continue
        low, high = test["top1_interval"]
        rows.append(
            IntervalRow(
                place.replace("_", " "), test["top1"], low, high, text=percent(test["top1"])
            )
        )
    return interval_chart(
        f"{what[0].upper()}{what[1:]} of the best recipe, trained again",
        f"{what} and its 95% interval",
        rows,
    )


def _score(trial: Trial, objective: str) -> str:
    value = float(trial[objective])
    return f"{value:.4f}" if objective == "val_loss" else percent(value)


def _value(text: str) -> str:
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text or "–"
