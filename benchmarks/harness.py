"""Runs the cases of a benchmark in turn, each in its own process, round by round."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

from kept_rows import KeptRows, figure_of
from stopwatch import Measured

HERE = pathlib.Path(__file__).parent
LEAST_ROUNDS = 3  # fewer say nothing of how far a figure can be trusted
IDLE_ALLOWED = 0.2
LEAST_IDLE = 0.1  # seconds
TRIES = 3

Case = Callable[[], Measured | dict[str, Measured]]


class CannotRunError(Exception):
    """A case needs something that this machine does not have."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One ratio of the results, over 1 where we are better than the peer.

    Attributes:
        what: What is compared.
        ours: Our row: a case, or `case: figure` where a case returns several figures.
        peers: The rows of one peer in its different settings, of which the best median counts.
        target: The ratio to reach, or None.
        at_most: Whether the target is an upper bound.
    """

    what: str
    ours: str
    peers: tuple[str, ...]
    target: float | None = None
    at_most: bool = False


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One question, answered by one file of this folder.

    Attributes:
        title: One line.
        unit: Unit of the figures that do not name another.
        cases: By name, a function that measures once and returns one figure, or several by name, whose rows
            are then called `case: name`, or `case` for the name "". Each runs in its own process.
        minutes: How long it takes on two cores, about.
        comparisons: The ratios to report.
        environment: Environment variables of a case's process, on top of the shell's; None unsets one.
        more_is_better: Whether a larger figure is better.
        note: What the reader has to know about the figures.
        rounds: How often every case is measured, three times at least.
        cores: How many cores the work keeps busy from beginning to end. A convolution network's steps can use
            all; whatever also starts up, builds or traces, which Python does on one core, has 1.
    """

    title: str
    unit: str
    cases: dict[str, Case]
    minutes: int
    comparisons: tuple[Comparison, ...] = ()
    environment: dict[str, dict[str, str | None]] = dataclasses.field(default_factory=dict)
    more_is_better: bool = False
    note: str = ""
    rounds: int = LEAST_ROUNDS
    cores: int = 1

    def __post_init__(self) -> None:
        if self.rounds < LEAST_ROUNDS:
            raise ValueError(f"`rounds` must be {LEAST_ROUNDS} or more. Received: {self.rounds}")


@dataclasses.dataclass
class Results:
    """What a benchmark gave.

    Attributes:
        rows: What each row measured, by round.
        missing: Why a case could not be run, by its name.
    """

    rows: dict[str, dict[int, Measured]] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)


def all_cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def idle_share(measured: Measured, cores: int) -> float:
    """Returns the share of its time in which a figure's cores did nothing.

    That is the time in which the contender did nothing at all; where its work can keep several cores busy, also
    what they were short of being busy, be it that other work had them. A contender that has one core's work and does it is never idle, however
    many cores there are. A wait that is itself the figure has no idle time, nor have a few hundredths of a second.
    """
    spent = measured.spent
    idle = max(spent.idle, spent.wall - spent.cpu / cores if cores > 1 else 0.0)
    return 0.0 if measured.is_wait or idle < LEAST_IDLE else idle / spent.wall


def main(benchmark: Benchmark, path: str) -> None:
    """Runs `python benchmarks/NAME.py [CASE | --short]`.

    One measurement of a case, or all rounds as Markdown; `--short`: only of the cases that comparisons with a target name.
    """
    from tables import render

    if sys.argv[1:] == ["--short"]:
        benchmark = with_targets_alone(benchmark)
        print(render(benchmark, measure(benchmark, path)))
    elif len(sys.argv) > 1:
        print(json.dumps(_answer(benchmark.cases[sys.argv[1]])))
    else:
        print(render(benchmark, measure(benchmark, path)))


def with_targets_alone(benchmark: Benchmark) -> Benchmark:
    """Returns the benchmark with the comparisons that have a target, and the cases that they name."""
    compared = tuple(one for one in benchmark.comparisons if one.target is not None)
    rows = [row for one in compared for row in (one.ours, *one.peers)]
    cases = {
        name: case
        for name, case in benchmark.cases.items()
        if any(row == name or row.startswith(f"{name}: ") for row in rows)
    }
    return dataclasses.replace(benchmark, cases=cases, comparisons=compared)


def _answer(case: Case) -> dict:
    """What a case's process prints: its figures, or why there are none."""
    try:
        figures = case()
    except CannotRunError as error:
        return {"missing": str(error)}
    except ModuleNotFoundError as error:
        if str(error.name).startswith("tl_toolkit"):
            raise
        return {"missing": f"{error.name} is not installed"}
    figures = {"": figures} if isinstance(figures, Measured) else figures
    return {"figures": {name: dataclasses.asdict(figure) for name, figure in figures.items()}}


def measure(
    benchmark: Benchmark, path: str, rounds: int | None = None, kept: KeptRows | None = None
) -> Results:
    """Measures every case once a round; one whose cores were idle is measured again.

    Args:
        benchmark: What to measure.
        path: Its file.
        rounds: How often; None: as the benchmark says.
        kept: Where each finished case is added at once, and from where those that are there are taken instead of
            being measured; None: nothing is kept.

    Raises:
        RuntimeError: A case failed.
    """
    results = Results()
    finished = kept.read() if kept else {}
    for round_number in range(rounds or benchmark.rounds):
        for name in benchmark.cases:
            if name in results.missing:
                continue
            figures = finished.get((round_number, name))
            taken = ", measured before" if figures else ""
            if figures is None:
                try:
                    figures = _measure_awake(benchmark, path, name)
                except CannotRunError as error:
                    results.missing[name] = str(error)
                    continue
                if kept:
                    kept.add(round_number, name, figures)
            for row, figure in figures.items():
                results.rows.setdefault(row, {})[round_number] = figure
                _tell(f"{benchmark.title}, round {round_number + 1}, {row}: {_line(figure)}{taken}")
    return results


def _measure_awake(benchmark: Benchmark, path: str, name: str) -> dict[str, Measured]:
    """Returns the least idle of a few measurements, the first one if its cores were busy."""

    def idlest(figures: dict[str, Measured]) -> float:
        return max(idle_share(figure, benchmark.cores) for figure in figures.values())

    best = _run(benchmark, path, name)
    for _ in range(TRIES - 1):
        if idlest(best) <= IDLE_ALLOWED:
            break
        _tell(f"{benchmark.title}, {name}: cores idle for {idlest(best):.0%}, measured again")
        best = min(best, _run(benchmark, path, name), key=idlest)
    return best


def _run(benchmark: Benchmark, path: str, name: str) -> dict[str, Measured]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment |= benchmark.environment.get(name, {})
    environment = {key: value for key, value in environment.items() if value is not None}
    process = subprocess.run(
        [sys.executable, path, name], capture_output=True, text=True, check=False, env=environment
    )
    if process.returncode:
        raise RuntimeError(f"{benchmark.title}, {name}:\n{process.stderr[-2000:]}")
    answer = json.loads(process.stdout.splitlines()[-1])
    if "missing" in answer:
        raise CannotRunError(answer["missing"])
    return {
        f"{name}: {key}" if key else name: figure_of(figure)
        for key, figure in answer["figures"].items()
    }


def _line(measured: Measured) -> str:
    spent = measured.spent
    return (
        f"{measured.figure:.3f} {measured.unit or ''} ({spent.wall:.2f} s, {spent.cpu:.2f} s of CPU, "
        f"{spent.idle:.2f} s idle)"
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
