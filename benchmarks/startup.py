"""Start-up time of `import tl_toolkit` and its commands, beside that of `import keras`."""

from __future__ import annotations

import functools
import subprocess
import sys

from harness import Benchmark, Comparison, Measured, main
from stopwatch import Stopwatch, seconds


def seconds_of(*arguments: str) -> Measured:
    """Seconds that a Python process takes."""
    return _run(*arguments)[0]


def seconds_of_command(*arguments: str) -> Measured:
    """Seconds that one of our commands takes."""
    measured, printed = _run("-m", "tl_toolkit.cli", *arguments)
    assert printed
    return measured


def _run(*arguments: str) -> tuple[Measured, bytes]:
    with Stopwatch() as watch:
        process = subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        return seconds(watch.read()), process.stdout


BENCHMARK = Benchmark(
    title="Start-up",
    unit="seconds",
    cases={
        "python -c pass": functools.partial(seconds_of, "-c", "pass"),
        "import tl_toolkit": functools.partial(seconds_of, "-c", "import tl_toolkit"),
        "tl-toolkit --help": functools.partial(seconds_of_command, "--help"),
        "tl-toolkit weights": functools.partial(seconds_of_command, "weights"),
        "import keras": functools.partial(seconds_of, "-c", "import keras"),
    },
    minutes=2,
    comparisons=(
        Comparison("--help against import keras", "tl-toolkit --help", ("import keras",)),
    ),
    rounds=5,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
