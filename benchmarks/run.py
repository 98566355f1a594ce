"""Runs all benchmarks, or those named, and writes RESULTS.md.

    python benchmarks/run.py [--anew] [NAME …]

Leave the machine idle meanwhile. It takes five hours on two cores; RESULTS.md is rewritten after each benchmark. Each
finished case of a round is kept in `kept/` at once: ended and started again, it goes on with what is missing on this
machine with these versions, and with `--anew`, which a change of the code asks for, from the beginning. When all
benchmarks asked for are done, what was kept is put aside as `kept/NAME.before.jsonl`.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import os
import pathlib
import platform
import re
import sys

from harness import IDLE_ALLOWED, LEAST_ROUNDS, measure
from kept_rows import KeptRows
from tables import render

NAMES = (
    "startup",
    "inference",
    "training_step",
    "step_profile",
    "frozen_layers",
    "fixed_costs",
    "warm_cache",
    "jpeg_pipeline",
    "growth",
    "search",
)
PACKAGES = ("tl-toolkit", "tensorflow", "keras", "keras-hub", "torch", "onnxruntime", "numpy")
HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
KEPT = HERE / "kept"
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
INTRODUCTION = f"""# Benchmark results

`make bench` measures all of it again and rewrites this page, `python benchmarks/run.py NAME` one part. The cases of a
benchmark run in turn, each in its own process, {LEAST_ROUNDS} rounds or more. Where a peer has several settings, the better
one counts. A ratio compares two figures of the same round and is over 1 where tl_toolkit is better than the peer (where a
target is ≤, it is the figure over the other one); median and range are over the rounds. Fewer than {LEAST_ROUNDS} rounds give no
ratio.

Steps are timed one by one, and a figure is that of the median step; epochs are sums of their steps. What comes behind the
last step of a `fit` or `predict` is in a row of its own: there, TensorFlow 2.21 can wait for its tuning thread, cores idle.
Wall and CPU seconds are those of the part of a case that its figure was made of, the CPU seconds those of all threads and
children; "idle" is the largest share of a round's time in which neither did anything, or, where the work can keep all cores
busy from beginning to end (steps of a network), what the cores were short of that. A case whose cores were idle for more than
{IDLE_ALLOWED:.0%} of its time is measured again, and marked where it stays so.
"""


def machine() -> str:
    """Describes the machine and the packages that the figures belong to."""
    info = pathlib.Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    flags = [flag for flag in FLAGS if re.search(rf"\b{flag}\b", text)]
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    return (
        f"{model.group(1) if model else platform.processor()}, "
        f"{os.cpu_count()} cores ({', '.join(flags)}), Python {platform.python_version()}, "
        f"{', '.join(versions)}."
    )


def main(names: list[str], anew: bool = False) -> None:
    """Measures what is not kept yet, and replaces each benchmark's section of the page."""
    setting = machine()
    kept = {name: KeptRows(KEPT / f"{name}.jsonl", setting) for name in names}
    if anew:
        for rows in kept.values():
            rows.put_aside()
    for name in names:
        benchmark = importlib.import_module(name).BENCHMARK
        print(f"{benchmark.title}: about {benchmark.minutes} minutes", file=sys.stderr, flush=True)
        section = render(benchmark, measure(benchmark, str(HERE / f"{name}.py"), kept=kept[name]))
        old = RESULTS.read_text() if RESULTS.exists() else ""
        new = f"{section.strip()}\n\nMeasured on {datetime.date.today()}, {setting}\n"
        RESULTS.write_text(page({**sections(old), benchmark.title: new}))
    for rows in kept.values():
        rows.put_aside()


def sections(text: str) -> dict[str, str]:
    """Returns the parts of a page by their titles."""
    parts = (f"## {part.strip()}\n" for part in text.split("\n## ")[1:])
    return {part.splitlines()[0].removeprefix("## "): part for part in parts}


def page(by_title: dict[str, str]) -> str:
    """Returns the whole page, in the order of `NAMES`; what is not measured says how to do it."""
    parts = [INTRODUCTION]
    for name in NAMES:
        benchmark = importlib.import_module(name).BENCHMARK
        unmeasured = (
            f"## {benchmark.title}\n\nNot measured yet: `python benchmarks/run.py {name}` does, in about "
            f"{benchmark.minutes} minutes.\n"
        )
        parts.append(by_title.get(benchmark.title, unmeasured))
    return "\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--anew", action="store_true", help="go on with nothing that was kept")
    asked = parser.parse_args()
    main(asked.names or list(NAMES), asked.anew)
