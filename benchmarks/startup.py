"""Start-up time of `import tl_toolkit` and its commands, beside that of `import keras`."""

from __future__ import annotations

import functools
import subprocess
import sys
import time

from harness import Benchmark, Comparison, main


def seconds_of(*arguments: str) -> float:
    """Seconds that a Python process takes."""
    started = time.monotonic()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.monotonic() - started


def seconds_of_command(*arguments: str) -> float:
    """Seconds that one of our commands takes."""
    started = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "tl_toolkit.cli", *arguments], check=True, capture_output=True
    )
    assert process.stdout
    return time.monotonic() - started


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
    comparisons=(Comparison("--help against import keras", "tl-toolkit --help", "import keras"),),
    rounds=5,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
