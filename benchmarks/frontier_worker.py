"""What the process of a contender of `frontier.py` is given, and what it tells.

Any Python imports it: it needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

MARK = "POINT "  # begins the lines of standard output that are points

Images = list[tuple[str, int]]  # path and number of the class


@dataclasses.dataclass(frozen=True)
class Job:
    """What a contender trains.

    Attributes:
        options: Of the contender.
        seed: Of the training.
        side: Of the network's input, in pixels.
        class_names: In alphabetical order.
        train: To learn from, in a random order.
        validation: To select by.
        test: To answer at the end.
        table: The three as a CSV file: file, label, split.
        weights: Folder of the weights in the form of each library; see `frontier_weights.py`.
        longest: Seconds after which a training that reports several points ends with the next one.
    """

    options: dict[str, Any]
    seed: int
    side: int
    class_names: list[str]
    train: Images
    validation: Images
    test: Images
    table: str
    weights: str
    longest: float

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Job:
        """Reads what `save` wrote."""
        return cls(**json.loads(pathlib.Path(path).read_text(encoding="utf-8")))

    def save(self, path: pathlib.Path) -> None:
        """Writes it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")


class Clock:
    """Wall and CPU seconds of this process, without those in which it is paused.

    Args:
        started: When the process was started, on `time.monotonic`'s clock, which all processes share.
    """

    def __init__(self, started: float) -> None:
        self._started = started
        self._left_out = (0.0, 0.0)

    def read(self) -> tuple[float, float]:
        """Returns wall and CPU seconds, the latter of all threads and ended children."""
        wall, cpu = self._now()
        return wall - self._left_out[0], cpu - self._left_out[1]

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves the block out."""
        before = self._now()
        yield
        self.leave_out(*(now - then for now, then in zip(self._now(), before, strict=True)))

    def leave_out(self, wall: float, cpu: float) -> None:
        """Leaves out what was counted."""
        self._left_out = self._left_out[0] + wall, self._left_out[1] + cpu

    def _now(self) -> tuple[float, float]:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = time.process_time() + ended.ru_utime + ended.ru_stime
        return time.monotonic() - self._started, cpu


def begin() -> tuple[Job, Clock]:
    """Returns the job and the clock of this process: its arguments are the job's file and when it was started."""
    return Job.load(sys.argv[1]), Clock(float(sys.argv[2]))


def tell(
    setting: str,
    spent: tuple[float, float],
    validation: Sequence[Sequence[float]],
    test: Sequence[Sequence[float]],
    is_last: bool,
) -> None:
    """Prints a point.

    Args:
        setting: What was done, such as "5 epochs".
        spent: Wall and CPU seconds.
        validation: Logits or log-probabilities of the validation images, in the job's order.
        test: Likewise.
        is_last: Whether this process has no later one.
    """
    point = {
        "setting": setting,
        "spent": spent,
        "validation": [list(map(float, row)) for row in validation],
        "test": [list(map(float, row)) for row in test],
        "is_last": is_last,
    }
    print(MARK + json.dumps(point), flush=True)
