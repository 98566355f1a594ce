"""`elpv`: 2,624 electroluminescence photos of solar cells, 300x300 pixels, from the package elpv-dataset.

Reference: Buerhop-Lutz et al. 2018, "A Benchmark for Visual Identification of Defective Solar Cells in
Electroluminescence Imagery"; Deitsch et al. 2019, arXiv 1807.02894.
"""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np

from tl_toolkit.data.dataset import FileImages, ImageSource, Split
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.errors import InputError, unknown_name

MODULE_TYPES = ("mono", "poly")
OPTIONS = ("levels", "weighted", *MODULE_TYPES)
TWO_CLASSES = ("functional", "defective")
FOUR_LEVELS = ("functional", "defective at 1/3", "defective at 2/3", "defective")


def load_elpv(options: str = "") -> ImageSource:
    """Finds the photos and reads their labels.

    Args:
        options: Any of these words, with commas between: `mono` or `poly`, cells of that type of module
            alone; `levels`, the four levels of the experts' defect probability as classes in place of
            functional and defective (from one half on); `weighted`, each photo counts in the loss as
            its label is sure: the probability of its class (1 or 2/3).

    Raises:
        InputError: The package is not installed, or a word is none of these.
    """
    chosen = [word for word in options.split(",") if word]
    for word in chosen:
        if word not in OPTIONS:
            raise unknown_name("option of elpv", word, OPTIONS)
    if set(MODULE_TYPES) <= set(chosen):
        raise InputError("`elpv:mono,poly` asks for two module types: leave both out to have both.")
    package = importlib.util.find_spec("elpv_dataset")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "The photos of `elpv` come with a package: pip install 'tl-toolkit[elpv]' (CC BY-NC-SA 4.0)."
        )
    folder = pathlib.Path(package.submodule_search_locations[0]) / "data"
    rows = [
        line.split() for line in (folder / "labels.csv").read_text("utf-8").splitlines() if line
    ]
    wanted = set(chosen) & set(MODULE_TYPES) or set(MODULE_TYPES)
    rows = [row for row in rows if row[2] in wanted]
    paths = PathColumn.of(folder / row[0] for row in rows)
    probability = np.array([float(row[1]) for row in rows])
    labels = np.rint(probability * 3) if "levels" in chosen else probability >= 0.5
    sureness = np.maximum(probability, 1 - probability) if "weighted" in chosen else None
    return ImageSource(
        class_names=FOUR_LEVELS if "levels" in chosen else TWO_CLASSES,
        train=Split.of(FileImages(paths), labels, weights=sureness),
        licence="CC BY-NC-SA 4.0",
        augmentation="surface",
    )
