"""Tables of `defaults_study.py`, for the documents."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from tables import markdown_row

AUTO = "auto"
# The strategies as they come, of which `compare` has four.
STRATEGIES = ("new head", "new head, all blocks", "last layers, head first", "everything")
ENOUGH_TO_CALIBRATE = 200  # images; see `report.calibration`
MEASURES = (
    "selection_top1",
    "selection_log_loss",
    "test_top1",
    "test_log_loss",
    "test_calibration_error",
    "seconds",
)

Row = dict


@dataclasses.dataclass(frozen=True)
class Mean:
    """An arm on a task, over seeds.

    Attributes:
        arm: Its name.
        rows: One a seed.
    """

    arm: str
    rows: Sequence[Row]

    def of(self, name: str) -> float:
        """Returns the mean of a figure."""
        return statistics.fmean(row[name] for row in self.rows)

    @property
    def images(self) -> int:
        """Test images of all seeds."""
        return sum(row["test_images"] for row in self.rows)

    @property
    def standard_error(self) -> float:
        """Of the mean test accuracy, as if no test image stood in two seeds' tests."""
        accuracy = self.of("test_top1")
        return math.sqrt(accuracy * (1 - accuracy) / self.images)


def means(rows: Sequence[Row], task: str) -> list[Mean]:
    """Returns the arms of a task, `auto` last, each option beside its like."""
    of_task = [row for row in rows if row["task"] == task]
    arms = sorted({row["arm"] for row in of_task}, key=lambda arm: (arm == AUTO, arm))
    return [Mean(arm, [row for row in of_task if row["arm"] == arm]) for arm in arms]


def task_table(rows: Sequence[Row], task: str) -> list[str]:
    """Returns a line of Markdown an arm; in bold is the one of the least log loss on selection images, of those with all seeds."""
    found = means(rows, task)
    lines = [
        f"**{task}**",
        "",
        "| | selection: accuracy | log loss | test: accuracy | range | log loss | calibration error | seconds | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    most = max(len(mean.rows) for mean in found)
    whole = [mean for mean in found if len(mean.rows) == most]
    chosen = min(whole, key=lambda mean: mean.of("selection_log_loss")).arm
    for mean in found:
        of = {name: mean.of(name) for name in MEASURES}
        tests = [row["test_top1"] for row in mean.rows]
        name = f"**{mean.arm}**" if mean.arm == chosen else mean.arm
        cells = (
            name,
            f"{of['selection_top1']:.3f}",
            f"{of['selection_log_loss']:.3f}",
            f"{of['test_top1']:.3f}",
            f"{min(tests):.3f}–{max(tests):.3f}",
            f"{of['test_log_loss']:.3f}",
            f"{of['test_calibration_error']:.3f}",
            f"{of['seconds']:.0f}",
            str(len(mean.rows)),
        )
        lines.append(markdown_row(cells))
    return lines


def auto_table(rows: Sequence[Row], tasks: Sequence[str]) -> list[str]:
    """Returns a line of Markdown a task: `auto` against what its test images prefer, over the seeds of `auto`.

    First against the best of `STRATEGIES`, then against the best of all arms.
    """
    lines = [
        "| | `auto` | best strategy | | behind by | standard error | best of all arms | | behind by | standard error | test images |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for task in tasks:
        seeds = {row["seed"] for row in rows if (row["task"], row["arm"]) == (task, AUTO)}
        found = means([row for row in rows if row["seed"] in seeds], task)
        others = [mean for mean in found if mean.arm != AUTO and len(mean.rows) == len(seeds)]
        if not others:
            continue
        auto = found[-1]
        cells = [task, f"{auto.of('test_top1'):.3f}"]
        for some in ([mean for mean in others if mean.arm in STRATEGIES], others):
            cells += _behind(auto, some)
        lines.append(markdown_row([*cells, str(auto.images)]))
    return lines


def _behind(auto: Mean, others: Sequence[Mean]) -> list[str]:
    """How far it is behind the best of the others: its accuracy, its name, the difference, the standard error."""
    if not others:
        return ["–"] * 4
    best = max(others, key=lambda mean: mean.of("test_top1"))
    difference = best.of("test_top1") - auto.of("test_top1")
    return [
        f"{best.of('test_top1'):.3f}",
        best.arm,
        f"{difference:.4f}",
        f"{best.standard_error:.4f}",
    ]


def calibration_table(rows: Sequence[Row], tasks: Sequence[str]) -> list[str]:
    """Returns a line of Markdown a task: the calibration error of arms that 200 images or more calibrated.

    What chance makes is of the rows that have it, as older ones have not.
    """
    lines = [
        "| | arms | test images a seed | mean calibration error | made by chance | largest mean of an arm |",
        "|---|---|---|---|---|---|",
    ]
    for task in tasks:
        enough = [row for row in rows if row["calibrated_on"] >= ENOUGH_TO_CALIBRATE]
        found = means(enough, task)
        if not found:
            continue
        errors = {mean.arm: mean.of("test_calibration_error") for mean in found}
        worst = max(errors, key=errors.__getitem__)
        name = "test_calibration_error_by_chance"
        by_chance = [row[name] for mean in found for row in mean.rows if name in row]
        cells = (
            task,
            str(len(found)),
            f"{statistics.fmean(row['test_images'] for mean in found for row in mean.rows):.0f}",
            f"{statistics.fmean(errors.values()):.3f}",
            f"{statistics.fmean(by_chance):.3f}" if by_chance else "–",
            f"{errors[worst]:.3f}, {worst}",
        )
        lines.append(markdown_row(cells))
    return lines
