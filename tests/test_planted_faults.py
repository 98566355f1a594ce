"""What the benchmark of audits plants is there, and what it counts as found and as false."""

import pathlib

import numpy as np
import pytest
from PIL import Image

import tl_toolkit as tl

pytestmark = pytest.mark.usefixtures("import_benchmark")


def textures(folder, count):
    """Photos of noise at several scales, of two classes in turn."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        noise = rng.normal(0, 10, (96, 96))
        for cell in (4, 8):
            coarse = rng.normal(0, 30, (96 // cell, 96 // cell))
            noise += np.kron(coarse, np.ones((cell, cell)))
        path = folder / f"texture{number}.png"
        Image.fromarray(np.clip(noise + 128, 0, 255).astype(np.uint8)).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def planted(tmp_path):
    from planting import Photos, plant

    (tmp_path / "sound").mkdir()
    paths = textures(tmp_path / "sound", 100)
    photos = Photos.of([(path, "ab"[k % 2]) for k, path in enumerate(paths)])
    return photos, plant(photos, tmp_path / "photos", 0), tmp_path / "photos"


def test_what_is_planted_is_there(planted):
    photos, faults, folder = planted
    files = {str(path) for path in folder.rglob("*") if path.is_file()}
    assert len(files) == 100 + 20 + 10 + 5 + 5
    assert len(faults.wrong) == 3
    for name in faults.wrong:
        path = pathlib.Path(name)
        assert path.parent.name != photos.labels[faults.origin[name]]
        assert path.read_bytes() == photos.paths[faults.origin[name]].read_bytes()
    assert sorted(faults.near.values()) == sorted(["compressed", "cut", "resized", "turned"] * 5)
    whole = {number: name for name, number in list(faults.origin.items())[:100]}
    for name in {*faults.near, *faults.copies}:
        original = pathlib.Path(whole[faults.origin[name]])
        assert pathlib.Path(name).parents[1].name != original.parents[1].name  # the other split
        assert pathlib.Path(name).parent.name == original.parent.name
        same = pathlib.Path(name).read_bytes() == original.read_bytes()
        assert same == (name in faults.copies)
    assert not {faults.origin[name] for name in {*faults.near, *faults.copies}} & {
        faults.origin[name] for name in faults.wrong
    }
    assert files == {*faults.origin, *faults.truncated, *faults.blank}


def test_an_audit_of_textures_finds_them_and_nothing_false(planted):
    from finer_check import FinerCheck
    from planted_faults import _of_files, _of_pictures

    photos, faults, folder = planted
    found = tl.audit(f"folder:{folder}", features=False)
    pictures = _of_pictures(found, faults, FinerCheck(photos.paths))
    assert pictures["near_found"] >= 18
    assert pictures["false_links"] == 0
    assert pictures["links"] == pictures["near_found"]
    assert pictures["copies_found"] == 10
    files = _of_files(found, faults)
    assert (files["truncated_found"], files["damaged_listed"]) == (5, 5)
    assert (files["blank_found"], files["blank_listed"]) == (5, 5)


def test_the_finer_check_knows_one_picture_and_no_other(tmp_path):
    from finer_check import FinerCheck
    from planted_faults import _parts

    paths = textures(tmp_path, 100)
    with Image.open(paths[3]) as image:
        turned = image.transpose(Image.Transpose.ROTATE_90)
        turned.crop((2, 2, 96, 96)).resize((96, 96)).save(tmp_path / "turned.png", quality=60)
    check = FinerCheck([*paths, tmp_path / "turned.png"])
    assert check.confirms(3, 100)
    assert check.confirms(100, 3)
    others = [check.confirms(100, number) for number in range(100) if number != 3]
    assert sum(others) <= 1  # one random pair in a thousand is above the threshold
    assert _parts([3, 5, 100], check) == 2
    assert _parts([3, 100], check) == 1
    assert _parts([3, 100], None) == 2
    assert _parts([-1, 3], check) == 2
