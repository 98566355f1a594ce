"""The page of a cross-validation: every image answered by a training without it."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.held_back import MARKS, held_back
from tl_toolkit.report.label_answers import LabelTable
from tl_toolkit.report.ladder import ACCURACY
from tl_toolkit.report.page.advice import Trained, advise
from tl_toolkit.report.page.answer_sections import answer_sections
from tl_toolkit.report.page.interval_chart import IntervalRow, interval_chart
from tl_toolkit.report.page.label_photos import OfLabel
from tl_toolkit.report.page.label_sections import label_advice, label_sections
from tl_toolkit.report.page.photo_choice import ChosenPhotos
from tl_toolkit.report.page.run_files import strategy_in_words
from tl_toolkit.report.page.run_page import answer_chart
from tl_toolkit.report.page.shell import percent, render_page
from tl_toolkit.report.page.thumbnails import Thumbnails

FROM_HALF = "Every label is given from probability 0.5 on."


def folds_page(
    values: Mapping[str, Any],
    recipe: Mapping[str, Any],
    table: AnswerTable,
    name: str,
    thumbnails: Thumbnails,
    chosen: ChosenPhotos | None = None,
    missing: str = "",
) -> str:
    """Returns the page as HTML.

    Args:
        values: What `cross_validation.json` holds.
        recipe: What was trained.
        table: The answers out of fold.
        name: The folder, as the user knows it.
        thumbnails: Of the chosen photos.
        chosen: The photos that the page shows.
        missing: Why there are no photos.
    """
    pooled = values["pooled"]
    answers = answer_sections(table, pooled, thumbnails, chosen=chosen, missing=missing)
    trained = Trained(strategy=recipe["strategy"]["name"], is_climbed=True)
    return _page(
        "folds.html.j2",
        values,
        recipe,
        name,
        dict(answers.data),
        interval=answer_chart(pooled, "accuracy out of fold"),
        advice=advise(pooled, table, trained),
        answers=answers,
        held_back_rows=[held_back(table.log_probabilities, table.labels, below) for below in MARKS],
    )


def label_folds_page(
    values: Mapping[str, Any],
    recipe: Mapping[str, Any],
    table: LabelTable,
    name: str,
    thumbnails: Thumbnails,
    chosen: Sequence[OfLabel] = (),
    missing: str = "",
) -> str:
    """As `folds_page`, of photos that may have several labels."""
    pooled = values["pooled"]
    labels = label_sections(table, {"test": pooled}, chosen, thumbnails, missing)
    labels = dataclasses.replace(labels, thresholds=FROM_HALF)
    return _page(
        "label_folds.html.j2",
        values,
        recipe,
        name,
        labels=labels,
        advice=label_advice(pooled, "photos"),
    )


def _page(
    template: str,
    values: Mapping[str, Any],
    recipe: Mapping[str, Any],
    name: str,
    data: dict[str, Any] | None = None,
    **shown: Any,
) -> str:
    """Renders what every cross-validation's page shows, whatever its labels are, and what is shown besides."""
    folds, measure = values["folds"], values.get("measure", ACCURACY)
    strategy = strategy_in_words(dict(recipe["strategy"]))
    low, high = values["range_top1"]
    return render_page(
        template,
        f"{strategy} on {recipe['data']}, {len(folds)} folds",
        data,
        asked=[
            ("images", recipe["data"]),
            ("strategy", strategy),
            ("folds", f"{len(folds)}, every photo validated by a training without it"),
            ("test photos", "never read"),
        ],
        test=values["pooled"],
        measure=measure,
        mean=values["mean_top1"],
        range=(low, high),
        chart=interval_chart(
            f"{measure.capitalize()} of each fold",
            f"{measure} on the fold",
            [
                IntervalRow(
                    f"fold {fold['fold'] + 1}, {fold['images']} photos",
                    fold["top1"],
                    fold["top1"],
                    fold["top1"],
                    text=percent(fold["top1"]),
                )
                for fold in folds
            ],
            [("mean", values["mean_top1"])],
        ),
        columns=("fold", "photos", measure, "log loss", "seconds"),
        rows=[
            (
                str(fold["fold"] + 1),
                f"{fold['images']:,}",
                percent(fold["top1"]),
                f"{fold['log_loss']:.3f}",
                f"{fold['seconds']:.1f}",
            )
            for fold in folds
        ],
        notes=values["notes"],
        commands=[
            (
                "train it on all photos but the test’s",
                f"tl-toolkit train --recipe {shlex.quote(f'{name}/recipe.json')} --output my_run",
            ),
            (
                "cross-validate it again",
                f"tl-toolkit cross-validate --recipe {shlex.quote(f'{name}/recipe.json')} --folds {len(folds)} "
                f"--output {shlex.quote(f'{name}_again')}",
            ),
            ("make this page anew", f"tl-toolkit report {shlex.quote(name)}"),
        ],
        recipe=json.dumps({k: v for k, v in recipe.items() if v is not None}, indent=2),
        **shown,
    )
