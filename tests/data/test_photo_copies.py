"""Copies come back as they were kept, the least recently used make way, and nothing else in the cache does."""

import os
import shutil
import threading

import pytest
from scenes import jpeg, scene

from tl_toolkit.data import photo_copies
from tl_toolkit.data.photo_copies import PhotoCopies

SIDE = 16


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(copies, digests):
    return [digest for digest in digests if copies.read(digest) is not None]


def used_long_ago(cache, digest, seconds):
    (path,) = cache.glob(f"prepared/*/*/{digest}")
    changed = path.stat().st_mtime - seconds
    os.utime(path, (changed, changed))


def test_a_copy_is_read_as_it_was_kept_by_another_run(cache):
    PhotoCopies(SIDE, []).keep("ab12", b"copy")
    assert PhotoCopies(SIDE, []).read("ab12") == b"copy"
    assert PhotoCopies(2 * SIDE, []).read("ab12") is None
    assert PhotoCopies(SIDE, []).read("ab13") is None
    assert [path.relative_to(cache).parts for path in cache.rglob("ab12")] == [
        ("prepared", "v2-16", "ab", "ab12")
    ]


def test_copies_of_an_older_version_are_not_read_and_make_way(cache):
    old = cache / "prepared" / "16" / "ab" / "ab12"
    old.parent.mkdir(parents=True)
    old.write_bytes(bytes(100))
    os.utime(old, (1, 1))
    copies = PhotoCopies(SIDE, [], limit=120)
    assert copies.read("ab12") is None
    copies.keep("cd34", bytes(10))
    assert old.exists()
    copies = PhotoCopies(SIDE, [], limit=100)
    copies.keep("ef56", bytes(10))
    assert not old.exists()
    assert kept(copies, ["cd34", "ef56"]) == ["cd34", "ef56"]


def test_what_was_not_used_for_longest_makes_way_whatever_its_size(cache):
    first = PhotoCopies(SIDE, [])
    for name in ("aa", "bb", "cc"):
        first.keep(name, bytes(100))
    PhotoCopies(2 * SIDE, []).keep("dd", bytes(100))
    for seconds, name in enumerate(("cc", "dd", "aa", "bb")):
        used_long_ago(cache, name, 1000 * (seconds + 1))
    assert first.read("bb")  # which is a use
    second = PhotoCopies(SIDE, [], limit=320)
    second.keep("ee", bytes(100))
    assert kept(second, ["aa", "bb", "cc", "ee"]) == ["bb", "cc"]  # 300 bytes are left, and no room
    third = PhotoCopies(SIDE, [], limit=420)
    third.keep("ee", bytes(100))
    assert kept(third, ["bb", "cc", "ee"]) == ["bb", "cc", "ee"]
    assert kept(PhotoCopies(2 * SIDE, []), ["dd"]) == ["dd"]


def test_room_is_made_for_all_large_photos_that_have_no_copy_yet(cache, tmp_path):
    large, small = tmp_path / "large.jpg", tmp_path / "small.jpg"
    large.write_bytes(jpeg(scene(64, 64)))
    small.write_bytes(jpeg(scene(20, 20)))
    old = PhotoCopies(SIDE, [])
    old.keep("aa", bytes(1000))
    used_long_ago(cache, "aa", 1000)
    a_copy = SIDE**2 * photo_copies.BYTES_PER_SQUARE
    PhotoCopies(SIDE, [str(small)] * 9 + [str(large)], limit=1000 + a_copy).keep("bb", bytes(10))
    assert old.read("aa") is not None
    used_long_ago(cache, "aa", 1000)
    PhotoCopies(SIDE, [str(large)] * 2, ["cc", "dd"], limit=1000 + a_copy).keep("bb", bytes(10))
    assert old.read("aa") is None
    assert old.read("bb") is not None


def test_without_room_nothing_is_written(cache, monkeypatch):
    copies = PhotoCopies(SIDE, [], limit=50)
    copies.keep("aa", bytes(51))
    copies.keep("bb", bytes(30))
    copies.keep("cc", bytes(30))
    assert kept(copies, ["aa", "bb", "cc"]) == ["bb"]
    usage = shutil.disk_usage(cache)
    full = usage._replace(free=photo_copies.SPARE_BYTES - 1000)
    monkeypatch.setattr(photo_copies.shutil, "disk_usage", lambda folder: full)
    PhotoCopies(SIDE, []).keep("dd", b"1")
    assert copies.read("dd") is None


def test_a_cache_that_cannot_be_written_to_is_no_obstacle(cache, monkeypatch):
    cache.write_bytes(b"a file in its place")
    copies = PhotoCopies(SIDE, [])
    copies.keep("aa", b"copy")
    assert copies.read("aa") is None


def test_what_a_killed_process_was_writing_is_removed_and_the_rest_of_the_cache_is_not(cache):
    copies = PhotoCopies(SIDE, [], limit=1)
    left, new = (cache / "prepared" / "v2-16" / "aa" / f"aa.{n}-1.partial" for n in (1, 2))
    beside = cache / "features" / "old.npy"
    for path in (left, new, beside):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
    os.utime(left, (0, 0))
    os.utime(beside, (0, 0))
    copies.keep("bb", b"1")
    assert not left.exists()
    assert new.exists()
    assert beside.exists()


def test_threads_that_keep_at_once_stay_within_the_limit(cache):
    copies = PhotoCopies(SIDE, [], limit=1000)
    names = [f"{number:02x}" for number in range(40)]
    threads = [threading.Thread(target=copies.keep, args=(name, bytes(100))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(copies, names)) == 10
