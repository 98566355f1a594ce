"""Wall, CPU and idle seconds of a piece of work, its memory, and figures made of them."""

from __future__ import annotations

import dataclasses
import pathlib
import resource
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import psutil

SAMPLE_SECONDS = 0.05
# A process that waits uses next to nothing; one that shares its cores with others gets more than that.
LEAST_BUSY = 0.1


@dataclasses.dataclass(frozen=True)
class Spent:
    """Seconds of a piece of work.

    Attributes:
        wall: By the clock.
        cpu: Of all threads, and of child processes that have ended.
        idle: Of the wall seconds, those in which neither a thread nor a child process did anything.
    """

    wall: float
    cpu: float
    idle: float

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu, self.idle + other.idle)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.wall - other.wall, self.cpu - other.cpu, self.idle - other.idle)

    def __mul__(self, times: float) -> Spent:
        return Spent(self.wall * times, self.cpu * times, self.idle * times)


NOTHING = Spent(0.0, 0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One figure of a contender.

    Attributes:
        figure: In its unit.
        spent: Seconds of the timed part that it was made of.
        unit: None: that of the benchmark.
        is_wait: The figure is a wait, so that idle cores are what it measures.
    """

    figure: float
    spent: Spent
    unit: str | None = None
    is_wait: bool = False


class Stopwatch:
    """Runs from when it is made until its block ends, and notes when the process does nothing.

    What waits is told from what works on one core by looking at it all the time: in an idle interval all threads
    and child processes together use less than a tenth of one core.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._started = self._last = (time.monotonic(), _cpu_seconds())
        self._of_children = 0.0
        self._idle = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self) -> Stopwatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()

    def read(self) -> Spent:
        """Returns what was spent since the start."""
        with self._lock:
            self._look()
            wall, cpu = (now - then for now, then in zip(self._last, self._started, strict=True))
            return Spent(wall, cpu, self._idle)

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            with self._lock:
                self._look()

    def _look(self) -> None:
        """Counts the time since the last look as idle if nothing happened in it."""
        now = (time.monotonic(), _cpu_seconds())
        wall, used = (new - old for new, old in zip(now, self._last, strict=True))
        self._last = now
        if used >= LEAST_BUSY * wall:
            return
        of_children = _seconds_of_running_children()  # slow, and needed only here
        used += max(of_children - self._of_children, 0.0)
        self._of_children = of_children
        # Looking reads every process of the machine: that is no work of who is watched.
        self._last = (self._last[0], _cpu_seconds())
        if used < LEAST_BUSY * wall:
            self._idle += wall


def _cpu_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _seconds_of_running_children() -> float:
    total = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            total += sum(child.cpu_times())
        except psutil.NoSuchProcess:
            continue
    return total


def peak_megabytes() -> float:
    """Returns the most memory that this process has held so far, in mebibytes.

    As Linux counts it for what runs now: `getrusage` begins with what the process that started this one held.
    """
    status = pathlib.Path("/proc/self/status").read_text("ascii")
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kibibytes) / 1024


def timed_calls(call: Callable[[], object], warm_up: int = 2, calls: int = 7) -> list[Spent]:
    """Returns what each of a few calls took, after some that are not counted."""
    for _ in range(warm_up):
        call()
    steps = []
    with Stopwatch() as watch:
        before = watch.read()
        for _ in range(calls):
            call()
            after = watch.read()
            steps.append(after - before)
            before = after
    return steps


def a_second(count: float, steps: Sequence[Spent]) -> Measured:
    """A speed: `count` things a step, by the median step."""
    return Measured(count / median_seconds(steps), sum(steps, NOTHING))


def median_seconds(steps: Sequence[Spent]) -> float:
    """Seconds by the clock of the median step."""
    return statistics.median(step.wall for step in steps)


def seconds(spent: Spent) -> Measured:
    """A duration by the clock."""
    return Measured(spent.wall, spent, "seconds")


def wait(spent: Spent) -> Measured:
    """A duration in which nothing but waiting is expected."""
    return Measured(spent.wall, spent, "seconds", is_wait=True)
