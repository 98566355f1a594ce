"""How long a person waits for the answer to one photo: `tl-toolkit predict` as a process of its own, by the runtime.

    python benchmarks/first_answer.py RUN PHOTO [--runs 7]

RUN is a finished run that was exported to the formats asked for. The first process of each runtime is not counted: it
brings the files into the system's memory.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

RUNTIMES = ("onnx", "litert", "openvino", "tensorflow")


def seconds_to_answer(run: str, photo: str, runtime: str) -> float | None:
    """Returns the seconds that a process takes; None where there is no file for the runtime."""
    words = ["predict", run, photo, "--json", "--runtime", runtime]
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "tl_toolkit.cli", *words], capture_output=True, check=False
    )
    return None if process.returncode else time.perf_counter() - start


def main() -> None:
    """Prints the median and the range of each runtime."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run")
    parser.add_argument("photo")
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    for runtime in RUNTIMES:
        if seconds_to_answer(asked.run, asked.photo, runtime) is None:
            print(f"{runtime}: no answer")
            continue
        found = [seconds_to_answer(asked.run, asked.photo, runtime) for _ in range(asked.runs)]
        if None in found:
            raise SystemExit(f"{runtime}: a process failed after one that answered")
        print(
            f"{runtime}: {statistics.median(found):.2f} s ({min(found):.2f}–{max(found):.2f}, {asked.runs} processes)"
        )


if __name__ == "__main__":
    main()
