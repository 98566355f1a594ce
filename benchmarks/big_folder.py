"""Big folders: seconds to open one a second time, and the memory that it takes.

The photos are links to a few real files, each of which is read once, so that a million can be made and opened; what is
measured is listing, remembering and grouping them, as when nothing has changed since the last time.
"""

from __future__ import annotations

import functools
import os
import pathlib
import tempfile

import numpy as np
from harness import Benchmark, Measured, main
from stopwatch import Stopwatch, peak_megabytes, seconds

REAL = 100  # photos
A_FOLDER = 10_000  # links
COUNTS = (200_000, 1_000_000)


def opened_again(count: int) -> dict[str, Measured]:
    """Seconds, and megabytes at most: of the process, and of those what came after TensorFlow was imported.

    Args:
        count: Of the photos.
    """
    import tl_toolkit.data.folder as folders
    from tl_toolkit.data import content_digests

    read_entry = content_digests._read_entry
    by_file: dict[int, list] = {}

    def read_once(path, check):
        inode = os.stat(path).st_ino
        if inode not in by_file:
            by_file[inode] = read_entry(path, check)
        return by_file[inode]

    with tempfile.TemporaryDirectory() as place:
        os.environ["TL_TOOLKIT_CACHE"] = os.path.join(place, "cache")
        photos = make_links(pathlib.Path(place), count)
        imported = peak_megabytes()
        content_digests._read_entry = read_once
        folders.load_folder(str(photos))
        content_digests._read_entry = read_entry
        with Stopwatch() as watch:
            folders.load_folder(str(photos))
        spent = watch.read()
        peak = peak_megabytes()
    return {
        "": seconds(spent),
        "memory at most": Measured(peak, spent, "MB"),
        "memory after imports": Measured(peak - imported, spent, "MB"),
    }


def make_links(place: pathlib.Path, count: int) -> pathlib.Path:
    """Returns a folder of two classes with that many hard links."""
    from PIL import Image

    rng = np.random.default_rng(0)
    real = place / "real"
    real.mkdir()
    for number in range(REAL):
        pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(real / f"{number}.png")
    for number in range(count):
        of_class = number % REAL
        part = number // REAL // (A_FOLDER // REAL)
        folder = place / "photos" / ("ab"[of_class % 2]) / str(part)
        if of_class < 2:
            folder.mkdir(parents=True, exist_ok=True)
        source = real / f"{of_class}.png"
        os.link(source, folder / f"{number:07}.png")
    return place / "photos"


BENCHMARK = Benchmark(
    title="Opening a big folder that was opened before",
    unit="seconds",
    cases={f"{count:,} photos": functools.partial(opened_again, count) for count in COUNTS},
    minutes=10,
)

if __name__ == "__main__":
    main(BENCHMARK, __file__)
