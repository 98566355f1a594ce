"""The files of a finished run that its page is made of."""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tl_toolkit.errors import InputError
from tl_toolkit.files.manifest import check_file
from tl_toolkit.report.answer_table import AnswerTable, read_answer_table
from tl_toolkit.report.answers import TEST_ANSWERS
from tl_toolkit.report.batch_norm_page import BATCH_NORM
from tl_toolkit.report.label_answers import LabelTable, has_label_answers, read_label_table
from tl_toolkit.report.ladder import LADDER, Rung

METRICS, EXPORTS = "metrics.json", "exports.json"


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """What a run wrote.

    Attributes:
        folder: Where it lies.
        recipe: Plain JSON values, as the others.
        metrics: Figures, facts and notes.
        plan: What training did to every variable.
        versions: Of packages.
        history: A row an epoch, or a strength of a head that was solved for.
        rungs: What strategy `"auto"` climbed.
        answers: To the test images; None where an earlier version wrote none, or an image may have several labels.
        label_answers: Those of images that may have several labels; None of one class.
        batch_norm: A row a layer of how far its moving statistics are from the data's; empty where that was not measured.
        exports: How the formats that it was exported to compare with the SavedModel, by name; empty: to none.
    """

    folder: pathlib.Path
    recipe: dict[str, Any]
    metrics: dict[str, Any]
    plan: dict[str, Any]
    versions: dict[str, str]
    history: list[dict[str, float]]
    rungs: list[Rung]
    answers: AnswerTable | None
    label_answers: LabelTable | None = None
    batch_norm: Sequence[Mapping[str, str]] = ()
    exports: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def strategy(self) -> str:
        """Its name, and its options where they say something."""
        return strategy_in_words(self.recipe["strategy"])


def read_run_files(folder: pathlib.Path) -> RunFiles:
    """Reads them.

    Raises:
        InputError: One that every run has is missing, or one is damaged.
    """
    rungs = []
    if (folder / LADDER).is_file():
        rungs = [Rung(**rung) for rung in read_json(folder / LADDER)]
    answers, label_answers = read_test_answers(folder)
    recipe, metrics, plan, versions = (
        read_json(folder / name) for name in ("recipe.json", METRICS, "plan.json", "versions.json")
    )
    return RunFiles(
        folder,
        recipe,
        metrics,
        plan,
        versions,
        _read(folder / "history.csv", _rows),
        rungs,
        answers,
        label_answers,
        _read(folder / BATCH_NORM, _text_rows) if (folder / BATCH_NORM).is_file() else (),
        read_json(folder / EXPORTS)["formats"] if (folder / EXPORTS).is_file() else {},
    )


def read_test_answers(folder: pathlib.Path) -> tuple[AnswerTable | None, LabelTable | None]:
    """Returns a run's answers to the test images: of one class an image, or of several labels.

    Raises:
        InputError: The file is damaged.
    """
    path = folder / TEST_ANSWERS
    if has_label_answers(path):
        return None, read_label_table(path)
    return (read_answer_table(path) if path.is_file() else None), None


def read_json(path: pathlib.Path) -> Any:
    """Returns the plain values of a file of a finished output.

    Raises:
        InputError: It is missing or damaged.
    """
    return _read(path, lambda path: json.loads(path.read_bytes()))


def strategy_in_words(strategy: dict[str, Any]) -> str:
    """Returns a strategy of a recipe's JSON by its name, and what its new head sits on unless that is usual."""
    name, on = strategy["name"], strategy.get("on", "features")
    return name if on == "features" else f"{name}, on={on}"


def _rows(path: pathlib.Path) -> list[dict[str, float]]:
    return [
        {name: float(value) for name, value in row.items() if value} for row in _text_rows(path)
    ]


def _text_rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _read(path: pathlib.Path, parse: Callable[[pathlib.Path], Any]) -> Any:
    check_file(path)
    try:
        return parse(path)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{str(path)!r} cannot be read: {error}. Expected what a finished run leaves; restore it from a copy, or "
            "train again."
        ) from error
