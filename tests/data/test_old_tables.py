"""Tables as they always were are opened as they always were: files, labels, splits, weights and groups."""

import csv
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from tl_toolkit.data.listing import list_photos
from tl_toolkit.data.open import open_dataset

NAMES = [f"{number}.bmp" for number in range(48)]
CLASSES = ("ant", "bee", "01")
# Of what `open_dataset` and `list_photos` gave before tables of other shapes were read.
DIGESTS = {
    "two columns": "6dd9424098dd1cfa72dd8b06ff2adffc",
    "splits": "d57ffffd01bc1c07071752906a87d1e7",
    "weights and groups": "0ae99e55cd48e0e97b20a4d54507ddec",
    "more columns and a byte order mark": "6dd9424098dd1cfa72dd8b06ff2adffc",
}


@pytest.fixture(scope="module")
def photos_and_copies(tmp_path_factory):
    """48 pictures of noise, of which one is a copy and one is another one turned by 90 degrees."""
    root = tmp_path_factory.mktemp("old_tables")
    rng = np.random.default_rng(0)
    first = np.zeros(0)
    for number, name in enumerate(NAMES):
        pixels = np.kron(rng.integers(0, 256, (5, 5, 3)), np.ones((6, 6, 1))).astype(np.uint8)
        if number == 6:
            pixels = first
        if number == 9:
            pixels = np.rot90(first)
        if number == 3:
            first = pixels
        Image.fromarray(np.ascontiguousarray(pixels)).save(root / name)
    return root


def rows_of(kind):
    label = [CLASSES[number % 3] for number in range(48)]
    split = ["train", "", "Val", "test"]
    if kind == "two columns":
        return ["file", "label"], list(zip(NAMES, label, strict=True))
    if kind == "splits":
        splits = [split[number // 3 % 4] for number in range(48)]
        return ["label", "split", "file"], list(zip(label, splits, NAMES, strict=True))
    if kind == "weights and groups":
        weights = ["" if number % 5 else str(0.5 + number) for number in range(48)]
        groups = [f"patient {number // 6}" if number > 11 else "" for number in range(48)]
        columns = ["file", "label", "weight", "group"]
        return columns, list(zip(NAMES, label, weights, groups, strict=True))
    columns = ["id", "file", "class", "label", "path"]
    return columns, [(k, name, "x", label[k], "y;z") for k, name in enumerate(NAMES)]


def digest_of(uri, root):
    dataset = open_dataset(uri, seed=1, split_seed=2)
    found = {"classes": dataset.class_names, "notes": dataset.notes}
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        found[name] = [
            [str(path).removeprefix(str(root)) for path in split.images.paths],
            split.labels.tolist(),
            split.ids.tolist(),
            split.weights.tolist(),
            [f"{group:016x}" for group in split.groups],
        ]
    listing = list_photos(uri)
    found["listing"] = [
        [str(name).removeprefix(str(root)) for name in listing.names],
        listing.labels.tolist(),
        listing.splits.tolist(),
        listing.groups.tolist(),
        listing.weights.tolist(),
        listing.notes,
    ]
    return hashlib.blake2b(json.dumps(found).encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize("kind", DIGESTS)
def test_a_table_as_before_gives_the_same(kind, photos_and_copies):
    columns, rows = rows_of(kind)
    path = photos_and_copies / f"{kind}.csv"
    encoding = "utf-8-sig" if "mark" in kind else "utf-8"
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([columns, *rows])
    assert digest_of(f"csv:{path}", photos_and_copies) == DIGESTS[kind]
