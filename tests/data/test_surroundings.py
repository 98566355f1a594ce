"""Python without docstrings and assertions, in a locale that is not UTF-8: the same data, the same errors."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = r"""
import json, os, pathlib, sys
root = pathlib.Path(sys.argv[1])
import tl_toolkit as tl
from tl_toolkit.data.content_digests import content_digests
from tl_toolkit.data.seen_images import read_seen_images, write_seen_images
from tl_toolkit.errors import InputError

assert False, "-OO leaves assertions out"
folder = tl.open_dataset(f"folder:{root / 'photos'}", on_bad_image="skip", test_fraction=0.5)
digests = sorted(d for s in (folder.train, folder.test) for d in content_digests(s))
saved = root / "saved"
(saved / "assets.extra").mkdir(parents=True)
write_seen_images(saved, digests)
table = tl.open_dataset(f"csv:{root / 'table.csv'}", on_bad_image="skip", test_fraction=0.5)
cells = tl.open_dataset("elpv:mono")
try:
    tl.open_dataset(f"folder:{root / 'photos'}")
except InputError as error:
    refused = str(error)
print(json.dumps({
    "file system": sys.getfilesystemencoding(),
    "docstring": tl.open_dataset.__doc__,
    "classes": folder.class_names,
    "notes": folder.notes,
    "refused": refused,
    "summary": folder.summary(),
    "digests": len(set(digests)),
    "seen": read_seen_images(saved) == set(digests),
    "labels": table.class_names,
    "table": [len(table.train), len(table.test), *table.notes],
    "pixels": int(table.test.images.loader()(0).pixels().shape[0]),
    "cells": len(cells.train),
}))
"""


@pytest.mark.long  # TensorFlow is imported anew: an interpreter's encoding and -OO are those it starts with
def test_neither_the_locale_nor_missing_docstrings_matter(tmp_path, photo, encoded):
    photos = os.fsencode(tmp_path / "photos")
    names = {
        "Bär": [b"0.png", b"caf\xe9.png", "grün.png".encode(), "Ä.png".encode()],
        "Fuß": [b"1.png", b"2.png", b"3.png"],
    }
    for class_name, files in names.items():
        os.makedirs(os.path.join(photos, class_name.encode()))
        for file in files:
            with open(os.path.join(photos, class_name.encode(), file), "wb") as out:
                out.write(encoded(photo(hash((class_name, file)) % 999), "PNG"))
    with open(os.path.join(photos, "Fuß".encode(), b"schlecht-\xfc.png"), "wb") as out:
        out.write(b"no image")
    rows = [f"photos/Bär/{n},Bär" for n in ("0.png", "grün.png", "fehlt-ü.png")]
    rows.append("photos/Bär/Ä.png,Bär")
    rows += [f"photos/Fuß/{n}.png,Fuß" for n in (1, 2, 3)]
    (tmp_path / "table.csv").write_text("\n".join(["file,label", *rows]), encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = subprocess.run(
        [sys.executable, "-OO", str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, **ascii_alone},
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "retracing" not in process.stderr
    found = json.loads(process.stdout.splitlines()[-1])
    assert found.pop("file system") in ("ascii", "us-ascii", "iso8859-1")
    refused, cells = found.pop("refused"), found.pop("cells")
    assert "cannot be used: not a photo" in refused
    assert cells > 500
    assert found == {
        "docstring": None,
        "classes": ["Bär", "Fuß"],
        "notes": [r"skipped Fuß/schlecht-\xfc.png: not a photo in a known format"],
        "summary": f"folder:{tmp_path}/photos: 2 classes; 2 training, 1 validation and 4 test images",
        "digests": 6,
        "seen": True,
        "labels": ["Bär", "Fuß"],
        "table": [2, 4, r"skipped photos/Bär/fehlt-ü.png: No such file or directory"],
        "pixels": 13,
    }
