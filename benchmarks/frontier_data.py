"""The photos of `frontier.py`, as plain files that every library reads alike, and their splits."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from study_data import stamp_files

Labelled = list[tuple[pathlib.Path, str]]
QUALITY = 95


@dataclasses.dataclass(frozen=True)
class Photos:
    """A data set.

    Attributes:
        title: What the plot calls it.
        files: Finds its images and their classes, given the folder of unpacked packages.
        test: How many images test; what remains is learned from.
        learn: How many are learned from at most, a fifth of them for validation.
    """

    title: str
    files: Callable[[pathlib.Path], Labelled]
    test: int
    learn: int | None = None


def solar_cells(_: pathlib.Path) -> Labelled:
    """Photos of solar cells from the package elpv-dataset, and whether the cell is defective."""
    from tl_toolkit.data.elpv import load_elpv

    source = load_elpv()
    names = [source.class_names[label] for label in source.train.labels]
    return [
        (pathlib.Path(str(p)), n) for p, n in zip(source.train.images.paths, names, strict=True)
    ]


PHOTOS: dict[str, Photos] = {
    "stamps": Photos("Five kinds of things, 369 photos and drawings", stamp_files, test=110),
    "solar cells": Photos(
        "Defective solar cells, 600 photos to learn from", solar_cells, test=800, learn=600
    ),
}


def as_jpeg(files: Labelled, folder: pathlib.Path) -> Labelled:
    """Writes images as RGB JPEG files on white, unless that was done, so that all libraries see the same pixels.

    Libraries differ in what they make of transparency and palettes.
    """
    from PIL import Image

    written = []
    for number, (path, name) in enumerate(files):
        target = folder / name / f"{number:04d}.jpg"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            image = Image.open(path).convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            unfinished = target.with_suffix(".partial")
            Image.alpha_composite(white, image).convert("RGB").save(
                unfinished, "JPEG", quality=QUALITY
            )
            unfinished.replace(target)
        written.append((target, name))
    return written


@dataclasses.dataclass(frozen=True)
class Split:
    """Positions of images, each part in a random order.

    Attributes:
        train: To learn from.
        validation: To select by.
        test: To answer at the end.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class SplitPhotos:
    """A data set and one of its splits.

    Attributes:
        data: Its name.
        seed: Of the split, and of trainings on it.
        files: All images and their classes.
        parts: The split.
        table: The same as a CSV file that our toolkit reads.
    """

    data: str
    seed: int
    files: Labelled
    parts: Split
    table: pathlib.Path


def split(labels: Sequence[str], photos: Photos, seed: int) -> Split:
    """Chooses the images of each part, every class with its share."""
    from sklearn.model_selection import train_test_split

    names = np.array(labels)

    def parted(positions: np.ndarray, second: int) -> list[np.ndarray]:
        return train_test_split(
            positions, test_size=second, stratify=names[positions], random_state=seed
        )

    learn, test = parted(np.arange(len(names)), photos.test)
    if photos.learn is not None and photos.learn < len(learn):
        _, learn = parted(learn, photos.learn)
    train, validation = parted(learn, len(learn) // 5)
    return Split(train, validation, test)


def split_photos(data: str, seed: int, files: Labelled, folder: pathlib.Path) -> SplitPhotos:
    """Splits a data set, and writes the table into a folder."""
    parts = split([name for _, name in files], PHOTOS[data], seed)
    table = folder / f"{data.replace(' ', '_')}_{seed}.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label", "split"))
        for part in ("train", "validation", "test"):
            writer.writerows((*files[position], part) for position in getattr(parts, part))
    return SplitPhotos(data, seed, files, parts, table)
