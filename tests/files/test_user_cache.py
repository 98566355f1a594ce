"""A fetched file is whole and checked, or absent, and is fetched once."""

import errno
import os
import pathlib
import subprocess
import sys
import tempfile

import filelock
import pytest

from tl_toolkit.errors import InputError
from tl_toolkit.files import user_cache
from tl_toolkit.files.user_cache import (
    UnavailableError,
    cache_folder,
    cached_file,
    fetch_once,
    file_digest,
    home_cache_folder,
    provide_temporary_folder,
)


def check(path):
    if path.read_text() != "whole":
        raise InputError(f"{path.name} is cut short")


def fetching(text, calls=None):
    def fetch(folder):
        if calls is not None:
            calls.append(folder)
        (folder / "fetched").write_text(text)
        return folder / "fetched"

    return fetch


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_is_fetched_once(tmp_path):
    target, calls = tmp_path / "deep" / "file.bin", []
    assert fetch_once(target, fetching("whole", calls), check) == target
    assert fetch_once(target, fetching("whole", calls), check).read_text() == "whole"
    assert (len(calls), left(target.parent)) == (1, ["file.bin"])


def test_a_bad_file_that_came_is_not_kept(tmp_path):
    with pytest.raises(UnavailableError, match="fetched is cut short") as error:
        fetch_once(tmp_path / "file.bin", fetching("whol"), check)
    assert (left(tmp_path), error.value.source_is_down) == ([], False)


def test_a_bad_file_in_the_cache_is_fetched_again(tmp_path):
    (tmp_path / "file.bin").write_text("whol")
    assert fetch_once(tmp_path / "file.bin", fetching("whole"), check).read_text() == "whole"


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "file.bin.abc.partial").mkdir()
    (tmp_path / "file.bin.abc.partial" / "fetched").write_text("wh")
    fetch_once(tmp_path / "file.bin", fetching("whole"), check)
    assert left(tmp_path) == ["file.bin"]


def test_a_full_disk_leaves_nothing_and_is_said(tmp_path):
    def fetch(folder):
        (folder / "fetched").write_text("who")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UnavailableError, match=r"Cannot write .*file.bin.*The disk is full"):
        fetch_once(tmp_path / "file.bin", fetch, check)
    assert left(tmp_path) == []


def test_a_cache_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UnavailableError, match=r"Cannot write.*Set TL_TOOLKIT_CACHE to a folder"):
        fetch_once(tmp_path / "file" / "file.bin", fetching("whole"), check)


SCRIPT = """
import pathlib, sys, time
from tl_toolkit.files.user_cache import fetch_once
folder = pathlib.Path(sys.argv[1])
def fetch(aside):
    with (folder / "calls.txt").open("a") as file:
        file.write("x")
    time.sleep(0.3)
    (aside / "fetched").write_text("whole")
    return aside / "fetched"
def check(path):
    assert path.read_text() == "whole"
print(fetch_once(folder / "cache" / "file.bin", fetch, check).read_text())
"""


def test_two_processes_at_once_fetch_once(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0] for process in processes]
    assert answers == ["whole\n", "whole\n"]
    assert (tmp_path / "calls.txt").read_text() == "x"
    assert left(tmp_path / "cache") == ["file.bin"]


def test_the_digest_is_that_of_the_contents(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_digest(tmp_path / "abc") == known
    assert file_digest(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_the_cache_is_where_the_system_has_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == pathlib.Path(tmp_path, "tl_toolkit")


def test_a_variable_chooses_another_cache(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TL_TOOLKIT_CACHE", "mine")
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("TL_TOOLKIT_CACHE", "~no_such_user/x")
    with pytest.raises(
        UnavailableError, match="TL_TOOLKIT_CACHE='~no_such_user/x' is not a folder"
    ):
        cache_folder()


def test_a_cache_that_cannot_be_made_is_replaced_and_that_is_said_once(
    monkeypatch, tmp_path, caplog
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TL_TOOLKIT_CACHE", "")  # set below, and unset after the test
    folder = tmp_path / f"tl_toolkit-{os.getuid()}"
    assert cache_folder() == folder
    assert cache_folder() == folder
    (message,) = caplog.messages
    assert message == (
        f"note: downloads and features go to {str(folder)!r}, because {str(tmp_path / 'file' / 'tl_toolkit')!r} "
        "cannot be made (Not a directory). TL_TOOLKIT_CACHE chooses another folder."
    )
    assert os.environ["TL_TOOLKIT_CACHE"] == str(folder)  # for processes that are started


def test_a_link_in_place_of_the_folder_is_not_followed(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"tl_toolkit-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TL_TOOLKIT_CACHE", "")
    assert cache_folder().name.startswith(f"tl_toolkit-{os.getuid()}-")


def test_a_file_in_a_cache_that_can_only_be_read_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "mine"))
    there = home_cache_folder() / "file.bin"
    there.parent.mkdir(parents=True)
    there.write_text("whole")
    assert cached_file("file.bin") == tmp_path / "mine" / "file.bin"
    monkeypatch.setattr(user_cache, "folder_can_be_made", lambda folder: False)
    assert cached_file("file.bin") == there


def test_a_whole_file_needs_no_lock(monkeypatch, tmp_path):
    def read_only(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    there = tmp_path / "file.bin"
    there.write_text("whole")
    monkeypatch.setattr(filelock, "FileLock", read_only)
    assert fetch_once(there, fetching("another"), check) == there


def test_temporary_files_go_to_the_cache_where_the_system_has_no_room(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TL_TOOLKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    provide_temporary_folder()
    assert tempfile.gettempdir() == "/tmp"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # Python's last resort
    provide_temporary_folder()
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(tmp_path / "cache" / "tmp")
    with tempfile.NamedTemporaryFile() as file:
        assert pathlib.Path(file.name).parent == tmp_path / "cache" / "tmp"
