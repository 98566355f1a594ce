"""Faults planted in copies of sound photos, of data sets from package registries."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
from PIL import Image
from study_data import faces, fashion, stamp_files

WRONG = 0.03  # of the photos
EACH_NEAR, COPIES, TRUNCATED, BLANK = 5, 10, 5, 5
TEST = 0.2  # of the photos
RESIZED, QUALITY, CUT = 0.7, 50, 0.95
MOST_CLOTHES = 1000


@dataclasses.dataclass(frozen=True)
class Photos:
    """Sound photos of a data set.

    Attributes:
        paths: Of their files.
        labels: Their classes' names.
        is_sure: bool[n], whether who labelled them was sure.
        weights: That the audit looks with; None: the default.
        are_fine: Whether they have detail that thumbnails of 32 pixels have not.
    """

    paths: list[pathlib.Path]
    labels: list[str]
    is_sure: np.ndarray
    weights: str | None = None
    are_fine: bool = True

    @classmethod
    def of(cls, rows: list[tuple], weights: str | None = None, are_fine: bool = True) -> Photos:
        """Of (path, label), all of them sure."""
        paths, labels = zip(*(row[:2] for row in rows), strict=True)
        return cls(list(paths), list(labels), np.ones(len(rows), bool), weights, are_fine)


def solar_cells(files: pathlib.Path, only_sure: bool = False) -> Photos:
    """ELPV; the experts were unsure of cells that are defective with probability 1/3 or 2/3."""
    import elpv_dataset

    folder = pathlib.Path(elpv_dataset.__path__[0]) / "data"
    rows = [line.split() for line in (folder / "labels.csv").read_text().splitlines() if line]
    defective = np.array([float(row[1]) for row in rows])
    is_sure = np.isin(defective, (0, 1))
    chosen = np.flatnonzero(is_sure | (not only_sure))
    return Photos(
        [folder / rows[k][0] for k in chosen],
        ["defective" if defective[k] >= 0.5 else "functional" for k in chosen],
        is_sure[chosen],
    )


def sure_solar_cells(files: pathlib.Path) -> Photos:
    """Those cells of ELPV that the experts were sure of."""
    return solar_cells(files, only_sure=True)


def digits(files: pathlib.Path) -> Photos:
    """scikit-learn's digits of 8 pixels as PNG files of 64, so that they can be cut by 5%."""
    from sklearn import datasets

    source, made = datasets.load_digits(), files / "made/digits"
    made.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (image, label) in enumerate(zip(source.images, source.target, strict=True)):
        path = made / f"{number}.png"
        if not path.exists():
            grey = Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8))
            grey.resize((64, 64), Image.Resampling.BICUBIC).save(path)
        rows.append((path, str(label)))
    return Photos.of(rows, weights="digits", are_fine=False)


def stamps(files: pathlib.Path) -> Photos:
    """Drawings and cut-out photos of five kinds of things."""
    return Photos.of(stamp_files(files))


def people(files: pathlib.Path) -> Photos:
    """ORL's faces: 40 people, ten photos each."""
    folder = pathlib.Path(faces(files).removeprefix("folder:"))
    return Photos.of([(path, path.parent.name) for path in sorted(folder.rglob("*.png"))])


def clothes(files: pathlib.Path) -> Photos:
    """Fashion-MNIST's first photos, 28 pixels."""
    fashion(files)
    with (files / "made/fashion.csv").open(encoding="utf-8") as table:
        rows = [(pathlib.Path(row["file"]), row["label"]) for row in csv.DictReader(table)]
    return Photos.of(rows[:MOST_CLOTHES], are_fine=False)


DATA: dict[str, Callable[[pathlib.Path], Photos]] = {
    "solar cells": solar_cells,
    "solar cells, sure": sure_solar_cells,
    "digits": digits,
    "stamps": stamps,
    "faces": people,
    "clothes": clothes,
}


@dataclasses.dataclass(frozen=True)
class Planted:
    """What was planted, by the names of files in the temporary folder, from which `origin` leads to the sound photo's number.

    Attributes:
        origin: Of every file that shows a sound photo, whole.
        wrong: With wrong labels.
        near: Near-duplicates, by what was done.
        copies: Of whole files.
        truncated: Cut off.
        blank: Of one grey.
    """

    origin: dict[str, int]
    wrong: set[str]
    near: dict[str, str]
    copies: set[str]
    truncated: set[str]
    blank: set[str]


def plant(photos: Photos, folder: pathlib.Path, seed: int) -> Planted:
    """Writes photos and faults to a folder that is not there yet."""
    rng = np.random.default_rng(seed)
    count, classes = len(photos.paths), sorted(set(photos.labels))
    in_test = rng.permutation(count) < round(TEST * count)
    wrong, sound = np.split(rng.permutation(count), [round(WRONG * count)])
    planted = Planted({}, set(), {}, set(), set(), set())

    def place(is_test: bool, label: str, name: str) -> pathlib.Path:
        return folder / ("test" if is_test else "train") / label / name

    for label in classes:
        for is_test in (False, True):
            place(is_test, label, "").mkdir(parents=True)

    labels = list(photos.labels)
    for number in wrong:
        labels[number] = str(rng.choice([name for name in classes if name != labels[number]]))
    for number, path in enumerate(photos.paths):
        target = place(in_test[number], labels[number], f"{number:05}{path.suffix}")
        shutil.copyfile(path, target)
        planted.origin[str(target)] = number
        if labels[number] != photos.labels[number]:
            planted.wrong.add(str(target))
    kinds = [*CHANGES] * EACH_NEAR + ["copy"] * COPIES + ["truncated"] * TRUNCATED
    for number, kind in zip(sound[: len(kinds)], kinds, strict=True):
        path, name = photos.paths[number], f"{number:05}_{rng.integers(1_000_000):06}"
        target = place(not in_test[number], labels[number], name + path.suffix)
        _write_fault(path, target, kind, int(number), planted, rng)
    with Image.open(photos.paths[0]) as image:
        width, height = image.size
    for k in range(BLANK):
        levels = rng.integers(30, 226) + rng.normal(0, 1, (height, width))
        target = place(bool(k % 2), str(rng.choice(classes)), f"blank{k}.png")
        Image.fromarray(np.rint(levels).astype(np.uint8)).save(target)
        planted.blank.add(str(target))
    return planted


def _write_fault(
    path: pathlib.Path,
    target: pathlib.Path,
    kind: str,
    number: int,
    planted: Planted,
    rng: np.random.Generator,
) -> None:
    if kind == "truncated":
        contents = path.read_bytes()
        target.write_bytes(contents[: len(contents) // 2])
        planted.truncated.add(str(target))
        return
    if kind == "copy":
        shutil.copyfile(path, target)
        planted.copies.add(str(target))
    else:
        target = target.with_suffix(".jpg" if kind == "compressed" else ".png")
        with Image.open(path) as image:
            CHANGES[kind](image, rng).save(target, quality=QUALITY)
        planted.near[str(target)] = kind
    planted.origin[str(target)] = number


def _resized(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.resize([round(RESIZED * side) for side in image.size], Image.Resampling.LANCZOS)


def _compressed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    if image.mode in ("RGBA", "LA", "P"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if image.mode == "L" else "RGB")


def _cut(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = image.size
    left, top = rng.uniform(0, 1 - CUT, 2) * image.size
    box = (left, top, left + CUT * width, top + CUT * height)
    whole = image.convert("RGBA") if image.mode == "P" else image
    return whole.resize(
        (round(CUT * width), round(CUT * height)), Image.Resampling.BICUBIC, box=box
    )


def _turned(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return image.transpose(turns[rng.integers(3)])


CHANGES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "resized": _resized,
    "compressed": _compressed,
    "cut": _cut,
    "turned": _turned,
}
