"""Planted near-duplicates are found, and digits that only look alike are not taken for them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_info

from tl_toolkit.data import near_duplicates as module
from tl_toolkit.data.kept_together import kept_together
from tl_toolkit.data.near_duplicates import WINDOWS, components, near_duplicates
from tl_toolkit.data.open import open_dataset, open_recipe_data
from tl_toolkit.data.thumbnails import NUMBERS, SIDE, thumbnail
from tl_toolkit.errors import InputError
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import NewHead
from tl_toolkit.transfer.solved_head import deal_folds


def digit_images(count):
    grey = np.rint(load_digits().images[:count] * (255 / 16)).astype(np.uint8)
    return [Image.fromarray(image).convert("RGB").resize((64, 64), 3) for image in grey]


def cut(image, seed):
    rng = np.random.default_rng(seed)
    left, top = rng.integers(0, 4, 2)
    return image.crop((left, top, left + 61, top + 61))


CHANGES = {
    "resized": lambda image, seed: image.resize((40, 36), 3),
    "turned": lambda image, seed: image.transpose(Image.Transpose(seed % 7)),
    "cut": cut,
    "all": lambda image, seed: cut(image.transpose(Image.Transpose(seed % 7)), seed).resize(
        (50, 50), 3
    ),
}


@pytest.mark.slow
def test_planted_ones_are_found_among_digits_and_no_others():
    images = digit_images(400)
    planted = [change(images[k], k) for k in range(10, 15) for change in CHANGES.values()]
    expected = {(k, 400 + 4 * (k - 10) + j) for k in range(10, 15) for j in range(4)}
    found = near_duplicates(np.stack([thumbnail(image) for image in images + planted]))
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(pairs & expected) >= 19
    of_planted = [{k, *range(400 + 4 * (k - 10), 404 + 4 * (k - 10))} for k in range(10, 15)]
    assert all(any({a, b} <= group for group in of_planted) for a, b in pairs)
    assert (found.first < found.second).all()


@pytest.mark.parametrize("limited", [True, False])
def test_few_photos_are_compared_by_one_thread_and_the_setting_comes_back(limited, monkeypatch):
    def threads():
        return [blas["num_threads"] for blas in threadpool_info() if blas["user_api"] == "blas"]

    seen = []
    search = module._neighbours
    monkeypatch.setattr(module, "_neighbours", lambda grey: seen.extend(threads()) or search(grey))
    monkeypatch.setattr(module, "FOR_ONE_THREAD", 20 if limited else 19)
    before = threads()
    near_duplicates(np.stack([thumbnail(image) for image in digit_images(20)]))
    assert seen == ([1] * len(before) if limited else before)
    assert threads() == before


def test_digits_alone_have_none():
    found = near_duplicates(np.stack([thumbnail(image) for image in digit_images(300)]))
    assert len(found.first) == 0


def test_blank_photos_and_other_colours_are_not_alike():
    photo = thumbnail(digit_images(1)[0])
    red = photo.copy()
    red[SIDE * SIDE :] = (200, 40, 40)
    others = [thumbnail(image) for image in digit_images(20)[1:]]
    blank = [np.full(NUMBERS, level, np.uint8) for level in (10, 10, 200)]
    assert len(near_duplicates(np.stack([photo, red, *others, *blank])).first) == 0
    found = near_duplicates(np.stack([photo, photo, *others, *blank]))
    assert (found.first.tolist(), found.second.tolist()) == ([0], [1])


@pytest.mark.parametrize("count", [0, 1])
def test_few_photos_have_no_pairs(count):
    assert len(near_duplicates(np.zeros((count, NUMBERS), np.uint8)).first) == 0


@pytest.mark.slow
def test_cells_find_what_an_exhaustive_search_finds(monkeypatch):
    images = digit_images(300)
    planted = [cut(images[k], k) for k in range(10)]
    rows = np.stack([thumbnail(image) for image in images + planted])
    monkeypatch.setattr("tl_toolkit.data.near_duplicates.CELL", 50)
    found = near_duplicates(rows)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(pairs & {(k, 300 + k) for k in range(10)}) >= 8


def test_pairs_join_to_components():
    joined = components(6, np.array([0, 1, 4]), np.array([1, 3, 5]))
    assert joined[0] == joined[1] == joined[3]
    assert joined[4] == joined[5]
    assert len(set(joined.tolist())) == 3


def test_windows_stay_in_the_photo():
    assert len(set(WINDOWS)) == 10
    for top, height, left, width in WINDOWS:
        assert 0 <= top <= 1 - height + 1e-9
        assert 0 <= left <= 1 - width + 1e-9


def test_where_too_few_would_be_left_near_duplicates_are_parted_with_a_note(tmp_path):
    """Three sizes of one photo are a class of three, as before near-duplicates were looked for."""
    random = np.random.default_rng(0)

    def photo():
        coarse = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        return Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)

    one = photo()
    for name, photos in {
        "alike": [one, one.resize((80, 80)), one.resize((72, 72))],
        "distinct": [photo() for _ in range(8)],
    }.items():
        (tmp_path / name).mkdir()
        for number, shrunk in enumerate(photos):
            shrunk.save(tmp_path / name / f"{number}.png")
    dataset = open_dataset(f"folder:{tmp_path}")
    assert any("near-duplicates stand on both sides" in note for note in dataset.notes)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [6, 2, 3]
    for number in range(2):
        (tmp_path / "alike" / f"{number}.png").unlink()
    with pytest.raises(InputError, match="has 1 image; it needs 3"):
        open_dataset(f"folder:{tmp_path}")


def sides(dataset, fold_of=None):
    """Returns, by a file's name, the split that it is in, or the fold."""
    if fold_of is not None:
        paths = dataset.train.images.paths
        return {Path(p).name: int(fold) for p, fold in zip(paths, fold_of, strict=True)}
    splits = (dataset.train, dataset.validation, dataset.test)
    return {Path(p).name: k for k, split in enumerate(splits) for p in split.images.paths}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_near_duplicates_never_stand_on_both_sides_of_a_split_or_a_fold(
    kind, tmp_path, monkeypatch
):
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    images = digit_images(90)
    rows = [(f"{k}.png", image, k % 3) for k, image in enumerate(images)]
    pairs = []
    for k in range(12):
        name, change = list(CHANGES.items())[k % 4]
        rows.append((f"{k}_{name}.png", change(images[k], k), k % 3))
        pairs.append((f"{k}.png", f"{k}_{name}.png"))
    for name, image, label in rows:
        place = tmp_path / "photos" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / name)
    lines = [f"photos/{label}/{name},{label}" for name, _, label in rows]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]))
    uri = {"folder": f"folder:{tmp_path / 'photos'}", "csv": f"csv:{tmp_path / 'labels.csv'}"}[kind]
    parted_without = 0
    for seed in range(6):
        dataset = open_dataset(uri, split_seed=seed)
        assert [note for note in dataset.notes if "near-duplicates" in note]
        side = sides(dataset)
        assert len(side) == len(rows)
        assert [pair for pair in pairs if side[pair[0]] != side[pair[1]]] == []
        keys = kept_together(dataset.train)
        fold = sides(dataset, deal_folds(dataset.train.labels, keys, seed))
        together = [pair for pair in pairs if pair[0] in fold]
        assert together
        assert [pair for pair in together if fold[pair[0]] != fold[pair[1]]] == []
        parted = Recipe(uri, NewHead(), split_seed=seed, group_near_duplicates=False)
        side = sides(open_recipe_data(parted))
        parted_without += sum(side[one] != side[other] for one, other in pairs)
    assert parted_without > 10  # of 72: what this test is about would happen
