"""The page of several runs: their figures side by side, and which differ beyond chance."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from tl_toolkit.report.answer_table import AnswerTable
from tl_toolkit.report.ladder import duration
from tl_toolkit.report.page.advice import commonest
from tl_toolkit.report.page.answer_sections import HeatMaps, photo_data
from tl_toolkit.report.page.interval_chart import IntervalRow, interval_chart
from tl_toolkit.report.page.photo_choice import ChosenPhotos
from tl_toolkit.report.page.run_files import RunFiles
from tl_toolkit.report.page.shell import percent, render_page, shortened
from tl_toolkit.report.page.thumbnails import Thumbnails
from tl_toolkit.report.paired_test import PairedTest, holm, p_text

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_RUNS = len(LETTERS)
MOST_PHOTOS = 48


@dataclasses.dataclass(frozen=True)
class NamedRun:
    """A run, and the folder's name as the user knows it."""

    name: str
    files: RunFiles


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two of the runs, by their places, and the test of their difference; or why there is none."""

    a: int
    b: int
    test: PairedTest | None
    reason: str = ""


def runs_page(
    runs: Sequence[NamedRun],
    pairs: Sequence[Pair],
    table: AnswerTable | None,
    differing: Sequence[int],
    thumbnails: Thumbnails,
    missing: str = "",
) -> str:
    """Returns the page as HTML.

    Args:
        runs: At most `MOST_RUNS`.
        pairs: Each pair of them.
        table: Answers of the first run, behind the photos.
        differing: Positions of photos in it that some runs have right and others wrong.
        thumbnails: Of those photos.
        missing: Why there are none.
    """
    tested = [pair for pair in pairs if pair.test is not None]
    adjusted = dict(
        zip(
            [(pair.a, pair.b) for pair in tested],
            holm([pair.test.p_value for pair in tested if pair.test is not None]) if tested else [],
            strict=True,
        )
    )
    data = None
    if table is not None:
        chosen = ChosenPhotos(tuple(differing), (), {}, ())
        data = photo_data(table, chosen, thumbnails, HeatMaps())
    tests = [run.files.metrics["test"] for run in runs]
    name, share = commonest(tests[0])
    near = share > min(test["top1"] for test in tests) - 0.25
    return render_page(
        "runs.html.j2",
        f"{len(runs)} runs",
        data,
        chart=interval_chart(
            "Test accuracy of each run",
            "test accuracy and its 95% interval",
            [
                IntervalRow(
                    f"{LETTERS[place]}  {run.files.strategy}",
                    test["top1"],
                    test["top1_interval"][0],
                    test["top1_interval"][1],
                    text=percent(test["top1"]),
                )
                for place, (run, test) in enumerate(zip(runs, tests, strict=True))
            ],
            [(f"always “{shortened(name)}”", share)] if near else [],
        ),
        runs=[_run_row(place, run) for place, run in enumerate(runs)],
        pairs=[_pair_row(pair, adjusted) for pair in pairs],
        sentences=[_sentence(pair, adjusted) for pair in pairs],
        differing=list(differing),
        images=len(table) if table is not None else 0,
        missing=missing,
        commands=[
            (
                "make this page anew",
                " ".join(["tl-toolkit report", *(shlex.quote(run.name) for run in runs)]),
            )
        ],
    )


def differing_photos(is_right: Sequence[np.ndarray]) -> np.ndarray:
    """Returns int64[n], positions of photos that some runs have right and others wrong, the most disputed first.

    Args:
        is_right: Of each run bool[images], of the same photos in the same order.
    """
    right = np.stack(list(is_right)).sum(axis=0)
    disputed = np.minimum(right, len(is_right) - right)
    order = np.argsort(-disputed, kind="stable")
    return order[disputed[order] > 0][:MOST_PHOTOS]


def _run_row(place: int, run: NamedRun) -> tuple[str, ...]:
    metrics = run.files.metrics
    test, recipe = metrics["test"], run.files.recipe
    low, high = test["top1_interval"]
    return (
        LETTERS[place],
        run.name,
        run.files.strategy,
        str(recipe["data"]),
        f"{test['examples']:,}",
        percent(test["top1"]),
        f"{percent(low)} to {percent(high)}",
        f"{test['log_loss']:.3f}",
        duration(metrics["seconds"]),
        f"{metrics['trained_parameters']:,}",
    )


def _pair_row(pair: Pair, adjusted: Mapping[tuple[int, int], float]) -> tuple[str, ...]:
    names = f"{LETTERS[pair.a]} and {LETTERS[pair.b]}"
    test = pair.test
    if test is None:
        return names, "–", "–", "–", "–", "–"
    low, high = test.interval
    return (
        names,
        str(test.only_a),
        str(test.only_b),
        f"{100 * test.difference:+.1f} points".replace("-", "−"),
        f"{100 * low:+.1f} to {100 * high:+.1f}".replace("-", "−"),
        p_text(adjusted[pair.a, pair.b]),
    )


def _sentence(pair: Pair, adjusted: Mapping[tuple[int, int], float]) -> str:
    a, b, test = LETTERS[pair.a], LETTERS[pair.b], pair.test
    if test is None:
        return f"{a} and {b} cannot be compared: {pair.reason}"
    p_value = adjusted[pair.a, pair.b]
    if p_value < 0.05:
        better, other = (b, a) if test.difference > 0 else (a, b)
        more = abs(test.only_b - test.only_a)
        return f"{better} is right on {more} more of {test.images:,} photos than {other}, beyond chance (p {p_text(p_value, '= ')})."
    needed = ""
    if test.images_needed is not None:
        digits = max(len(str(test.images_needed)) - 2, 0)
        rough = -(-test.images_needed // 10**digits) * 10**digits
        needed = f" About {rough:,} photos would."
    return f"These {test.images:,} photos cannot tell {a} from {b} (p {p_text(p_value, '= ')}).{needed}"
