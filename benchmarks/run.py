"""Runs all benchmarks, or those named, and writes RESULTS.md.

    python benchmarks/run.py [NAME …]

Nothing else should run meanwhile. It takes long; what is measured is written benchmark by benchmark.
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
    """What the figures were measured on."""
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
    """Measures, and puts each section in the place of its earlier one."""
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
            "# What the benchmarks measured\n\n`make bench` measures again and writes this page. Contenders "
            "take turns, each in a process of its own. A ratio is of figures of one round, over 1 where "
            "tl_toolkit is better than a peer; its median and range are over the rounds.\n\n"
            + "\n".join(ordered)
        )


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
