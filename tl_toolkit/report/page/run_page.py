"""The page of one run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tl_toolkit.report.ladder import Rung, ladder_table
from tl_toolkit.report.page.advice import Trained, advise, commonest
from tl_toolkit.report.page.answer_sections import HeatMaps, answer_sections
from tl_toolkit.report.page.audit_section import AuditSection
from tl_toolkit.report.page.batch_norm_table import batch_norm_table
from tl_toolkit.report.page.exports_section import exports_section
from tl_toolkit.report.page.interval_chart import IntervalRow, interval_chart
from tl_toolkit.report.page.label_photos import OfLabel
from tl_toolkit.report.page.label_sections import label_advice, label_sections
from tl_toolkit.report.page.photo_choice import ChosenPhotos
from tl_toolkit.report.page.run_files import RunFiles, strategy_in_words
from tl_toolkit.report.page.shell import percent, render_page, shortened
from tl_toolkit.report.page.thumbnails import Thumbnails
from tl_toolkit.report.page.training_charts import ladder_chart, training_charts

PROBE = "new_head"
# Of the facts, what stands elsewhere on the page.
TOLD = ("training",)


def run_page(
    files: RunFiles,
    name: str,
    thumbnails: Thumbnails,
    *,
    chosen: ChosenPhotos | None = None,
    missing: str = "",
    heat_maps: HeatMaps | None = None,
    audit: AuditSection | None = None,
) -> str:
    """Returns the page as HTML.

    Args:
        files: What the run wrote.
        name: Its folder, as the user knows it.
        thumbnails: Of the chosen photos.
        chosen: The photos that the page shows.
        missing: Why there are no photos; empty: as the thumbnails say.
        heat_maps: Of the photos that `photos_to_explain` names.
        audit: What an audit of the data found.
    """
    metrics, recipe = files.metrics, files.recipe
    test, answers = metrics["test"], None
    if files.answers is not None:
        answers = answer_sections(
            files.answers,
            test,
            thumbnails,
            chosen=chosen,
            thresholds=metrics.get("thresholds", ()),
            heat_maps=heat_maps,
            missing=missing,
        )
    return render_page(
        "run.html.j2",
        f"{files.strategy} on {recipe['data']}",
        dict(answers.data) if answers is not None else None,
        interval=answer_chart(test),
        comparisons=_comparisons(files),
        advice=advise(test, files.answers, _trained(files)),
        answers=answers,
        held_back_rows=metrics.get("held_back", ()),
        threshold_rows=metrics.get("thresholds", ()),
        find=recipe.get("find"),
        **_context(files, name, audit),
    )


def label_run_page(
    files: RunFiles,
    name: str,
    thumbnails: Thumbnails,
    *,
    chosen: Sequence[OfLabel] = (),
    missing: str = "",
    audit: AuditSection | None = None,
) -> str:
    """Returns the page of a run on photos that may have several labels; the arguments are those of `run_page`."""
    labels = None
    if files.label_answers is not None:
        labels = label_sections(files.label_answers, files.metrics, chosen, thumbnails, missing)
    return render_page(
        "label_run.html.j2",
        f"{files.strategy} on {files.recipe['data']}",
        labels=labels,
        advice=label_advice(files.metrics["test"]),
        **_context(files, name, audit),
    )


def _context(files: RunFiles, name: str, audit: AuditSection | None) -> dict[str, Any]:
    """Returns what every run's page shows, whatever its labels are."""
    metrics, recipe = files.metrics, files.recipe
    facts = metrics.get("facts", {})
    return {
        "asked": _asked(files),
        "test": metrics["test"],
        "validation": metrics.get("validation"),
        "seconds": metrics["seconds"],
        "trained_parameters": metrics["trained_parameters"],
        "curves": training_charts(files.history, metrics.get("kept")),
        "rungs": ladder_table(files.rungs) if files.rungs else None,
        "ladder": ladder_chart(files.rungs, metrics.get("selected_on", "")),
        "selected_on": metrics.get("selected_on", ""),
        "stages": files.plan["stages"],
        "cut": files.plan.get("cut"),
        "batch_norm": batch_norm_table(files),
        "facts": {key: value for key, value in facts.items() if value and key not in TOLD},
        "training": facts.get("training", ""),
        "notes": metrics.get("notes", ()),
        "versions": files.versions,
        "commands": _commands(name),
        "recipe": json.dumps({k: v for k, v in recipe.items() if v is not None}, indent=2),
        "audit": audit,
        "exports": exports_section(files.exports),
    }


def answer_chart(test: Mapping[str, Any], what: str = "test accuracy") -> Markup:
    """Draws the test accuracy with its interval, beside always saying the commonest class."""
    low, high = test["top1_interval"]
    name, share = commonest(test)
    label = f"{what} {percent(test['top1'])}, 95% interval {percent(low)} to {percent(high)}"
    row = IntervalRow("", test["top1"], low, high)
    return interval_chart(label, what, [row], [(f"always “{shortened(name)}”", share)])


def _asked(files: RunFiles) -> list[tuple[str, str]]:
    recipe, metrics = files.recipe, files.metrics
    facts = metrics.get("facts", {})
    labels = recipe.get("labels_per_class")
    asked = [
        ("images", metrics.get("images") or recipe["data"]),
        ("strategy", files.strategy + (", the best of the ladder" if files.rungs else "")),
        ("start", facts.get("started from", "").partition(" (sha256")[0]),
        ("network", facts.get("network", "").partition(",")[0]),
        ("labels", f"{labels} a class" if labels else ""),
        ("seed", str(recipe.get("seed", 0))),
        ("made square by", recipe.get("resize") or ""),
    ]
    return [(name, value) for name, value in asked if value]


def _comparisons(files: RunFiles) -> list[str]:
    """Sentences on what the accuracy is worth: against the commonest class, and against the plain probe."""
    test = files.metrics["test"]
    name, share = commonest(test)
    said = [
        f"Always saying “{name}” would be right on {percent(share)}: "
        f"this model is {100 * (test['top1'] - share):.1f} points above that."
    ]
    if (probe := _probe(files.rungs)) is not None:
        kept = next((rung for rung in files.rungs if rung.kept), None)
        if kept is probe:
            said.append("The plain probe (a new head alone) was itself the best of the ladder.")
        elif kept is not None and kept.top1 is not None and probe.top1 is not None:
            said.append(
                f"On {files.metrics.get('selected_on') or 'the images that select'} the plain probe (a new head alone) has "
                f"{percent(probe.top1)}, this model {percent(kept.top1)}."
            )
    elif files.strategy == PROBE:
        said.append("This is the plain probe: a new head on a frozen network.")
    return said


def _probe(rungs: Sequence[Rung]) -> Rung | None:
    return next(
        (r for r in rungs if strategy_in_words(r.strategy) == PROBE and not _has_tta(r)), None
    )


def _has_tta(rung: Rung) -> bool:
    return rung.strategy.get("tta", "none") not in (None, "none")


def _trained(files: RunFiles) -> Trained:
    metrics, history = files.metrics, files.history
    validation, kept = metrics.get("validation"), metrics.get("kept")
    row = history[kept if kept is not None and kept < len(history) else -1] if history else {}
    if (
        kept is not None and kept < 0
    ):  # the weights before the first epoch, of which the history has no row
        row = {}
    return Trained(
        strategy=files.recipe["strategy"]["name"],
        is_climbed=bool(files.rungs),
        training_top1=None if "strength" in row else row.get("top1"),
        validation_top1=validation["top1"] if validation else None,
        class_balance=files.recipe.get("class_balance", "none"),
    )


def _commands(name: str) -> list[tuple[str, str]]:
    run, again = shlex.quote(name), shlex.quote(f"{name}_again")
    recipe = shlex.quote(f"{name}/recipe.json")
    return [
        (
            "train it again, with the same weights and figures",
            f"tl-toolkit train --recipe {recipe} --output {again}",
        ),
        ("ask it about a photo", f"tl-toolkit predict {run} PHOTO.jpg"),
        ("test it on other photos", f"tl-toolkit evaluate {run} folder:OTHER_PHOTOS"),
        ("make this page anew", f"tl-toolkit report {run}"),
    ]
