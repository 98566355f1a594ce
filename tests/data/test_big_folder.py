"""Many files are opened in little memory, and splits and identities are those that runs were made with before."""

import hashlib
import os
import pathlib
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.data import content_digests
from tl_toolkit.data.folder import load_folder
from tl_toolkit.data.open import open_images
from tl_toolkit.data.opening import SKIP, Opening
from tl_toolkit.experiments.identity import data_identity

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
LINKS, A_FOLDER = 8_000, 500
# In a process of its own: what it has held at most, with TensorFlow.
A_MILLION = f"""
import sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import big_folder
print(big_folder.opened_again(1_000_000)["memory after imports"].figure)
"""
# Of splits, ids, groups and notes, and of training and validation images: as they were when a file was an object.
EXPECTED = {
    "folder:{}/photos": (
        "8ea18c3da63539c5",
        "74a0c3c1a8733b20",
        "329482eb3a7f9bc4",
        "6b2fa10a18cd1f13",
        "f20107b49af50616",
    ),
    "csv:{}/one.csv?group=patient": (
        "dd0398592bd22f8a",
        "780219fb8882c128",
        "b1fd4af6f1036b74",
        "48b7487e1f36c21b",
        "e5a454555577ed58",
    ),
    "csv:{}/several.csv?labels=x,y&group=patient": (
        "072e2aa08b14904d",
        "9e059fb79717fb88",
        "371642236e69dcc7",
        "739fc283d6fd6203",
        "b51789741c0845d0",
    ),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))


def bitmap(seed):
    """A BMP file, whose bytes depend on no package."""
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8).tobytes()
    start = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    header = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return start + header + pixels


@pytest.fixture
def tables(tmp_path):
    """Forty photos, two of them copies, in folders, and two tables of them."""
    rows = {}
    for number in range(40):
        name = f"{'ab'[number % 2]}/{'deep/er' if number % 3 else 'é'}/{number:02}.bmp"
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bitmap(number - 20 if number in (22, 24) else number))
        rows[name] = number
    one = ["file,label,patient"]
    several = ["file,x,y,patient"]
    for name, number in sorted(rows.items()):
        one.append(f"photos/{name},{name[0]},{number % 7}")
        several.append(f"photos/{name},{number % 2},{number % 3 % 2},{number % 7}")
    (tmp_path / "one.csv").write_text("\n".join(one), "utf-8")
    (tmp_path / "several.csv").write_text("\n".join(several), "utf-8")
    return tmp_path


def digest_of(opened, top):
    digest = hashlib.sha256()
    for split in (opened.train, opened.validation, opened.test):
        if split is not None:
            names = [os.path.relpath(path, top) for path in split.images.paths]
            groups = [f"{group:016x}" for group in split.groups]
            digest.update("\n".join([*names, *groups]).encode())
            digest.update(split.labels.tobytes() + split.ids.tobytes())
    digest.update(repr(opened.notes).replace(str(top), "").encode())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("uri", EXPECTED)
def test_what_is_opened_is_what_earlier_runs_opened(uri, tables):
    named = uri.format(tables)
    source = open_images(named, Opening(SKIP))
    dataset = tl.open_dataset(named, on_bad_image="skip")
    groups = hashlib.sha256(source.groups.tobytes()).hexdigest()[:16]
    identity = data_identity(dataset)
    found = (
        digest_of(source, tables),
        groups,
        digest_of(dataset, tables),
        identity["train"][:16],
        identity["validation"][:16],
    )
    assert found == EXPECTED[uri]


@pytest.mark.slow
def test_a_file_more_takes_no_object_more(tmp_path, monkeypatch):
    real = tmp_path / "real.bmp"
    real.write_bytes(bitmap(0))
    for number in range(LINKS):
        folder = tmp_path / "photos" / "ab"[number % 2] / str(number // A_FOLDER)
        if number % A_FOLDER < 2:
            folder.mkdir(parents=True)
        os.link(real, folder / f"{number:07}.bmp")
    stamped = content_digests._stamp
    digest = iter(range(1, LINKS + 1))

    def read(path, check):
        return stamped(path), f"{next(digest):016x}"

    monkeypatch.setattr(content_digests, "_read_entry", read)
    load_folder(str(tmp_path / "photos"), Opening(group_near_duplicates=False))
    tracemalloc.start()
    source = load_folder(str(tmp_path / "photos"), Opening(group_near_duplicates=False))
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(source.train) == LINKS
    # Of these, labels, ids and groups take 32 bytes a file; a path alone would take 100 as an object.
    assert kept / LINKS < 90
    assert most / LINKS < 450


@pytest.mark.long
def test_a_million_files_are_opened_in_a_quarter_of_a_gigabyte_beside_what_imports_take():
    process = subprocess.run(
        [sys.executable, "-c", A_MILLION], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    # TensorFlow's import alone takes 700 to 860 MB, by the machine.
    assert float(process.stdout) < 250
