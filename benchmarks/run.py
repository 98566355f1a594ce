"""Runs all benchmarks, or those named, and writes RESULTS.md.

    python benchmarks/run.py [NAME …]

Leave the machine idle meanwhile. It takes hours; RESULTS.md is rewritten after each benchmark.
"""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import os
import pathlib
import platform
import re
import sys

from harness import measure, render

NAMES = (
    "startup",
    "inference",
    "training_step",
    "frozen_layers",
    "warm_cache",
    "jpeg_pipeline",
    "growth",
    "search",
)
PACKAGES = ("tl-toolkit", "tensorflow", "keras", "keras-hub", "torch", "numpy")
HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


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
        f"{datetime.date.today()}, {model.group(1) if model else platform.processor()}, "
        f"{os.cpu_count()} cores ({', '.join(flags)}), Python {platform.python_version()}, "
        f"{', '.join(versions)}."
    )


def main(names: list[str]) -> None:
    """Measures, and replaces each benchmark's section of the page."""
    sections = {}
    if RESULTS.exists():
        for part in RESULTS.read_text().split("\n## ")[1:]:
            sections[part.splitlines()[0]] = f"## {part.strip()}\n"
    for name in names:
        benchmark = importlib.import_module(name).BENCHMARK
        figures = measure(benchmark, str(HERE / f"{name}.py"))
        page = render(benchmark, figures).strip()
        sections[benchmark.title] = f"{page}\n\nMeasured on {machine()}\n"
        titles = [importlib.import_module(n).BENCHMARK.title for n in NAMES]
        ordered = [sections[title] for title in titles if title in sections]
        RESULTS.write_text(
            "# Benchmark results\n\n`make bench` measures again and rewrites this page. The cases of a benchmark run in turn, "
            "each in its own process. A ratio compares two figures of the same round and is over 1 where "
            "tl_toolkit is better than the peer; median and range are over the rounds.\n\n"
            + "\n".join(ordered)
        )


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
