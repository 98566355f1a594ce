"""Leases of the feature cache: real locks, held by this process and by others, live and dead."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tl_toolkit.transfer import feature_room
from tl_toolkit.transfer.feature_room import NoRoomError, lease_room

MB = 10**6
HOLD = """
import pathlib, sys
from tl_toolkit.transfer.feature_room import lease_room
sizes = dict(zip(sys.argv[2::2], map(int, sys.argv[3::2])))
lease = lease_room(pathlib.Path(sys.argv[1]), sizes, limit=100e6)
print("held", flush=True)
sys.stdin.read()
"""


def write(place, **megabytes):
    """Entries as if computed, the first used first."""
    for age, (name, size) in enumerate(megabytes.items()):
        (place / name).mkdir(parents=True, exist_ok=True)
        with (place / name / "00000.npy").open("wb") as file:
            file.truncate(size * MB)
        os.utime(place / name, (1000 + age, 1000 + age))


def lease(place, limit=100, **megabytes):
    return lease_room(place, {name: size * MB for name, size in megabytes.items()}, limit * MB)


def entries(place):
    return sorted(path.name for path in place.iterdir() if path.is_dir())


@pytest.fixture
def other_process():
    """Starts processes that hold leases."""
    started = []

    def start(place, **megabytes):
        words = [word for name, size in megabytes.items() for word in (name, str(size * MB))]
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(place), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_least_recently_used_entries_make_way_and_no_more_than_needed(tmp_path):
    write(tmp_path, a=30, b=30, c=30)
    (tmp_path / "a.00000.lock").touch()
    lease(tmp_path, d=30)
    assert entries(tmp_path) == ["b", "c", "d"]
    assert not list(tmp_path.glob("a.*"))
    lease(tmp_path, b=30)  # used again
    write(tmp_path, d=30)
    lease(tmp_path, e=50)
    assert entries(tmp_path) == ["b", "e"]


def test_a_lease_is_kept_by_all_until_it_is_released(tmp_path):
    write(tmp_path, a=40, b=40)
    held = lease(tmp_path, a=40, b=40)
    for limit, size, others in ((100, 30, "0.08"), (70, 30, "0.08")):
        with pytest.raises(
            NoRoomError,
            match=rf"need 0\.03 GB.*runs under way use {others} GB\. .*--cache-limit.*cache=False",
        ):
            lease(tmp_path, limit, c=size)
    assert entries(tmp_path) == ["a", "b"]
    held.release()
    held.release()
    lease(tmp_path, c=30)
    assert entries(tmp_path) == ["b", "c"]
    assert not list(tmp_path.glob("*.lease*"))


def test_room_is_reserved_for_what_is_not_written_yet(tmp_path):
    first = lease(tmp_path, a=60)
    with pytest.raises(NoRoomError, match=r"runs under way use 0\.06 GB"):
        lease(tmp_path, b=60)
    second = lease(tmp_path, b=40)
    third = lease(tmp_path, a=60, b=40)  # what is shared counts once
    assert entries(tmp_path) == ["a", "b"]
    del first, second
    with pytest.raises(NoRoomError):
        lease(tmp_path, c=10)
    del third
    lease(tmp_path, c=100)


def test_what_does_not_fit_removes_nothing(tmp_path):
    write(tmp_path, a=40, b=40)
    with pytest.raises(
        NoRoomError, match=r"need 0\.11 GB, and the cache's limit is 0\.10 GB\. Raise"
    ):
        lease(tmp_path, a=40, c=70)
    assert entries(tmp_path) == ["a", "b"]


def test_another_process_holds_its_entries_until_it_dies(tmp_path, other_process):
    write(tmp_path, a=40, b=40)
    process = other_process(tmp_path, a=40, b=50)
    with pytest.raises(NoRoomError, match=r"runs under way use 0\.09 GB"):
        lease(tmp_path, c=20)
    shared = lease(tmp_path, a=40, c=10)
    assert entries(tmp_path) == ["a", "b", "c"]
    process.kill()
    process.wait()
    with pytest.raises(NoRoomError, match=r"runs under way use 0\.05 GB"):
        lease(tmp_path, d=60)
    lease(tmp_path, d=50)
    assert entries(tmp_path) == ["a", "c", "d"]
    shared.release()
    assert not list(tmp_path.glob("*.lease*"))


def test_two_processes_share_the_same_entries(tmp_path, other_process):
    write(tmp_path, a=90)
    processes = [other_process(tmp_path, a=90) for _ in range(2)]
    processes[0].communicate("")  # ends in peace
    assert len(list(tmp_path.glob("*.lease"))) == 1
    with pytest.raises(NoRoomError):
        lease(tmp_path, b=20)
    processes[1].communicate("")
    lease(tmp_path, b=20)
    assert entries(tmp_path) == ["b"]


def test_a_disk_without_room_is_said_and_what_is_whole_needs_none(tmp_path, monkeypatch):
    write(tmp_path, a=30, b=30, c=20)
    usage = shutil.disk_usage(tmp_path)._replace(free=feature_room.SPARE_BYTES + 10 * MB)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(NoRoomError, match=r"need 0\.10 GB, and the disk of .* has 0\.01 GB free"):
        lease(tmp_path, 1000, c=20, d=80)
    assert entries(tmp_path) == ["a", "b", "c"]
    held = lease(tmp_path, 1000, c=20, d=35)  # 10 are free, 30 make way
    assert entries(tmp_path) == ["b", "c", "d"]
    usage = usage._replace(free=0)
    lease(tmp_path, 1000, b=30)
    assert entries(tmp_path) == ["b", "c", "d"]
    held.release()


def test_a_folder_that_cannot_be_used_is_no_room(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(NoRoomError, match="cannot be used"):
        lease(tmp_path / "file" / "features", a=1)

    def full(path, text, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", full)
    with pytest.raises(NoRoomError, match="No space left"):
        lease(tmp_path / "features", a=1)
    monkeypatch.undo()
    lease(tmp_path / "features", a=100).release()
    assert not list(tmp_path.glob("features/*.lease*"))
