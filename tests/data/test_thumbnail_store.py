"""What a search found is remembered by the files' contents, and a damaged memory is searched for anew."""

import numpy as np
import pytest
from PIL import Image

from tl_toolkit.data import thumbnail_store
from tl_toolkit.data.content_digests import file_digests
from tl_toolkit.data.path_column import PathColumn
from tl_toolkit.data.thumbnail_store import near_duplicate_files
from tl_toolkit.data.thumbnails import thumbnail_of_file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def paths(tmp_path):
    """Twelve photos; the last one is the first, made smaller."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(11):
        noise = np.random.default_rng(number).integers(0, 256, (7, 9, 3), np.uint8)
        large = Image.fromarray(noise).resize((144, 112), Image.Resampling.BICUBIC)
        large.save(folder / f"{number:02}.png")
    with Image.open(folder / "00.png") as first:
        first.resize((100, 78)).save(folder / "11.png")
    return sorted(map(str, folder.iterdir()))


@pytest.fixture
def searches(monkeypatch):
    """How often was searched."""
    made = []
    search = thumbnail_store.near_duplicates

    def counted(rows):
        made.append(len(rows))
        return search(rows)

    monkeypatch.setattr(thumbnail_store, "near_duplicates", counted)
    return made


def found(paths, seen=None):
    column = PathColumn.of(paths)
    digests = file_digests(column)
    pairs = near_duplicate_files(column, digests.values, seen or {})
    name = dict(zip(digests.texts(), paths, strict=True))
    return [sorted(name[digest][-6:] for digest in pair) for pair in pairs]


def test_a_set_of_files_is_searched_once_whatever_their_order_and_place(paths, searches):
    assert found(paths) == [["00.png", "11.png"]]
    assert found(paths[::-1]) == [["00.png", "11.png"]]
    assert searches == [12]
    assert found(paths[:-1]) == []
    assert searches == [12, 11]


def test_thumbnails_that_were_made_a_moment_ago_are_taken(paths, monkeypatch):
    digests = file_digests(PathColumn.of(paths)).texts().tolist()
    seen = {}
    for path, digest in zip(paths, digests, strict=True):
        with open(path, "rb") as file:
            seen[digest] = thumbnail_of_file(file.read())
    monkeypatch.setattr(
        thumbnail_store, "thumbnail_of_file", lambda contents: pytest.fail("it was made")
    )
    assert found(paths, seen) == [["00.png", "11.png"]]


@pytest.mark.parametrize("damage", ["cut", "emptied", "another file", "older"])
def test_what_is_damaged_or_older_is_searched_for_anew(damage, paths, cache, searches, monkeypatch):
    found(paths)
    (place,) = (cache / "thumbnails").iterdir()
    if damage == "cut":
        place.write_bytes(place.read_bytes()[:-200])
    elif damage == "emptied":
        place.write_bytes(b"")
    elif damage == "another file":
        np.savez(place.open("wb"), something=np.zeros(3))
    else:
        monkeypatch.setattr(thumbnail_store, "VERSION", thumbnail_store.VERSION + 1)
    assert found(paths) == [["00.png", "11.png"]]
    assert searches == [12, 12]


def test_without_a_cache_it_is_searched_every_time(paths, cache, searches):
    cache.write_bytes(b"a file in its place")
    assert found(paths) == found(paths) == [["00.png", "11.png"]]
    assert searches == [12, 12]
