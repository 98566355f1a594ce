"""Who writes an output folder, and when."""

import json
import os
import pathlib
import types

import pytest
import tensorflow as tf
from damage import KINDS, MANY, damage, randoms
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from tl_toolkit.errors import InputError, LostWorkerError
from tl_toolkit.experiments.run_folder import (
    MARKER,
    check_output,
    finish_output,
    partial_folder,
    shared_output,
    sole_writer,
)
from tl_toolkit.experiments.run_inputs import inputs_of
from tl_toolkit.experiments.written_files import COMPARISON, RUN, SEARCH
from tl_toolkit.files.manifest import MANIFEST, verify
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import NewHead


class Fake:
    """One of two processes, the other of which is gone when they meet."""

    def __init__(self, is_chief):
        self.count, self.is_chief = 2, is_chief

    def barrier(self):
        raise tf.errors.UnavailableError(None, None, "connection refused")


def test_a_folder_has_one_writer_at_a_time(tmp_path):
    with (
        sole_writer(tmp_path / "run", RUN, overwrite=False),
        pytest.raises(
            InputError, match=r"Another process is writing '.*run\.partial': wait for it"
        ),
        sole_writer(tmp_path / "x" / ".." / "run", RUN, overwrite=True),
    ):
        raise AssertionError("two writers")
    with (
        sole_writer(tmp_path / "run", RUN, overwrite=False),
        sole_writer(tmp_path / "other", RUN, False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_locked_is_done_without(tmp_path, monkeypatch):
    def acquire(self):
        raise NotImplementedError("no flock here")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with sole_writer(tmp_path / "run", RUN, overwrite=False):
        pass


def test_a_chief_that_is_done_has_not_failed_when_another_process_is_lost(tmp_path):
    with shared_output(tmp_path / "run", RUN, False, Fake(is_chief=True)) as folder:
        assert folder == tmp_path / "run"


def test_a_process_whose_chief_is_lost_before_its_end_has_failed(tmp_path):
    output = shared_output(tmp_path / "run", RUN, False, Fake(is_chief=False))
    folder = output.__enter__()
    assert folder.name == "run"
    assert folder != tmp_path / "run"
    with pytest.raises(LostWorkerError, match="Another of the 2 processes is gone"):
        output.__exit__(None, None, None)
    assert not folder.parent.exists()


@pytest.mark.parametrize("is_chief", [True, False])
def test_an_error_is_not_waited_with(is_chief, tmp_path):
    processes = types.SimpleNamespace(count=2, is_chief=is_chief, barrier=pytest.fail)
    with (
        pytest.raises(InputError, match="wrong"),
        shared_output(tmp_path / "run", RUN, False, processes),
    ):
        raise InputError("wrong")


@pytest.fixture
def photos_of_mine(tmp_path):
    folder = tmp_path / "photos"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "1.jpg").write_bytes(b"mine")
    return folder


def finished(folder, kind=RUN):
    """A finished output of two files."""
    with sole_writer(folder, kind, overwrite=False):
        (partial_folder(folder) / "saved_model").mkdir()
        (partial_folder(folder) / "saved_model" / "saved_model.pb").write_text("old")
        finish_output(folder, kind)
    return folder


SPELLINGS = {
    "as it is": lambda p: p,
    "relative": lambda p: pathlib.Path(os.path.relpath(p)),
    "by ..": lambda p: p / "cat" / "..",
    "by a link": lambda p: p.parent / "link",
    "with ~": lambda p: pathlib.Path("~") / p.name,
    "holds it": lambda p: p.parent,
    "lies in it": lambda p: p / "run",
    "lies in it, by a link": lambda p: p.parent / "link" / "cat" / "run",
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_photos_are_never_an_output_however_they_are_spelled(
    spelling, overwrite, photos_of_mine, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(photos_of_mine / "cat")
    (tmp_path / "link").symlink_to(photos_of_mine)
    output = SPELLINGS[spelling](photos_of_mine)
    with pytest.raises(InputError, match="which this command reads"):
        check_output(output, overwrite, reads=[photos_of_mine])
    with (
        pytest.raises(InputError, match="which this command reads"),
        sole_writer(output, RUN, overwrite, reads=[photos_of_mine]),
    ):
        raise AssertionError("written to")
    assert (photos_of_mine / "cat" / "1.jpg").read_bytes() == b"mine"


def test_a_folder_that_this_toolkit_did_not_make_is_never_replaced(photos_of_mine):
    with pytest.raises(InputError, match="was not made by this toolkit"):
        check_output(photos_of_mine, overwrite=True)
    (photos_of_mine / MARKER).write_text("{}")
    with pytest.raises(InputError, match="was not made by this toolkit"):
        check_output(photos_of_mine, overwrite=True)


@pytest.mark.parametrize("where", ["mine.txt", "saved_model/mine.txt", "mine/photo.jpg"])
def test_a_finished_output_that_holds_a_file_of_the_users_is_not_replaced(tmp_path, where):
    folder = finished(tmp_path / "run")
    check_output(folder, overwrite=True)
    (folder / ".DS_Store").write_text("of the system")
    check_output(folder, overwrite=True)
    (folder / where).parent.mkdir(exist_ok=True)
    (folder / where).write_text("mine")
    with pytest.raises(InputError, match=rf"did not write, such as '{where}'"):
        check_output(folder, overwrite=True)


def test_a_link_to_a_folder_of_the_users_in_a_finished_output_is_not_followed(
    tmp_path, photos_of_mine
):
    folder = finished(tmp_path / "run")
    (folder / "link").symlink_to(photos_of_mine)
    with pytest.raises(InputError, match="did not write, such as 'link'"):
        check_output(folder, overwrite=True)


def test_what_is_put_there_while_the_work_goes_on_is_kept_and_so_is_the_result(tmp_path):
    folder = tmp_path / "run"
    with sole_writer(folder, RUN, overwrite=True):
        (partial_folder(folder) / "result.txt").write_text("new")
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
        with pytest.raises(InputError, match="was not made by this toolkit"):
            finish_output(folder)
    assert (folder / "mine.txt").read_text() == "mine"
    assert (partial_folder(folder) / "result.txt").read_text() == "new"


def test_a_finished_output_is_replaced_by_a_finished_one_alone(tmp_path):
    folder = finished(tmp_path / "run")
    with sole_writer(folder, RUN, overwrite=True):
        (partial_folder(folder) / "summary.md").write_text("new")
        assert (folder / "saved_model" / "saved_model.pb").read_text() == "old"
        finish_output(folder)
    assert {path.name for path in folder.iterdir()} == {"summary.md", MARKER, MANIFEST}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("output", [".", "", "./", "x/.."])
def test_the_current_folder_is_no_output(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is the current folder: name a new folder"):
        check_output(output, overwrite=True)


def test_a_home_folder_and_a_repository_are_no_outputs(tmp_path, monkeypatch):
    home, repository = tmp_path / "me", tmp_path / "code"
    home.mkdir()
    (repository / ".git").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for output in (home, "~", home.parent, "~/../me"):
        with pytest.raises(InputError, match="is or holds your home folder"):
            check_output(output, overwrite=True)
    with pytest.raises(InputError, match="is a repository"):
        check_output(repository, overwrite=True)
    check_output("~/my_run", overwrite=False)
    check_output(repository / "my_run", overwrite=False)


@pytest.mark.parametrize(("left", "asked"), [(SEARCH, RUN), (RUN, SEARCH), (RUN, COMPARISON)])
def test_an_unfinished_output_of_another_kind_is_left_alone(left, asked, tmp_path):
    with sole_writer(tmp_path / "out", left, overwrite=False):
        (tmp_path / "out.partial" / "state.json").write_text("{}")
    with (
        pytest.raises(InputError, match=f"holds an unfinished {left}"),
        sole_writer(tmp_path / "out", asked, overwrite=True),
    ):
        raise AssertionError("written to")
    assert (tmp_path / "out.partial" / "state.json").read_text() == "{}"


def test_a_folder_of_the_users_called_partial_is_left_alone(tmp_path):
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / "mine.txt").write_text("mine")
    with (
        pytest.raises(InputError, match="was not made by this toolkit"),
        sole_writer(tmp_path / "run", RUN, overwrite=True),
    ):
        raise AssertionError("written to")
    assert [p.name for p in (tmp_path / "run.partial").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("contents", [b"", b'{"kind": "ru', b'{"kinf": "run"}', b"\xff"])
def test_a_damaged_marker_of_unfinished_work_says_how_to_go_on(contents, tmp_path):
    folder, partial = tmp_path / "run", tmp_path / "run.partial"
    with sole_writer(folder, RUN, overwrite=False):
        (partial / "checkpoints").mkdir()
    (partial / MARKER).write_bytes(contents)
    with (
        pytest.raises(InputError, match=r'damaged, .*write \{"kind": "run"\} into that file'),
        sole_writer(folder, RUN, overwrite=True),
    ):
        raise AssertionError("written to")
    (partial / MARKER).write_text('{"kind": "run"}')
    with sole_writer(folder, RUN, overwrite=False):
        assert (partial / "checkpoints").is_dir()


@MANY
@given(kind=st.sampled_from(KINDS), where=randoms)
def test_a_finished_output_with_a_damaged_marker_is_kept_or_replaced_as_one(
    kind, where, tmp_path_factory
):
    folder = finished(tmp_path_factory.mktemp("finished") / "run")
    written = contents_of(folder / MARKER)
    with damage(folder / MARKER, kind, where):
        marker = contents_of(folder / MARKER)
        if marker.get("finished") and marker.get("files") == written["files"]:
            check_output(folder, overwrite=True)
            return
        with pytest.raises(InputError, match="so overwrite does not replace it"):
            check_output(folder, overwrite=True)


def contents_of(path):
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return {}


def test_the_manifest_is_written_last_and_lists_no_checkpoints(tmp_path, monkeypatch):
    folder, written = tmp_path / "run", []
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda one, other: written.append(other.name) or replace(one, other)
    )
    with sole_writer(folder, RUN, overwrite=False):
        (partial_folder(folder) / "checkpoints").mkdir()
        for name in ("checkpoints/ckpt-1.index", "summary.md", "mine.txt"):
            (partial_folder(folder) / name).write_text(name)
        finish_output(folder)
    assert written[-2:] == [MARKER, MANIFEST]
    found = verify(folder)
    assert set(found.intact) == {"summary.md", MARKER}
    assert found.unknown == ("checkpoints/ckpt-1.index", "mine.txt")


def test_two_spellings_of_one_folder_exclude_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for one, other in (("run", "~/run"), (tmp_path / "run", "x/../run"), ("real/run", "link/run")):
        with (
            sole_writer(one, RUN, overwrite=False),
            pytest.raises(InputError, match="Another process is writing"),
            sole_writer(other, RUN, overwrite=False),
        ):
            raise AssertionError("two writers")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_result_that_appears_meanwhile_is_kept_where_nobody_asked_to_overwrite(tmp_path):
    folder = tmp_path / "run"
    with sole_writer(folder, RUN, overwrite=False):
        (partial_folder(folder) / "summary.md").write_text("ours")
        folder.mkdir()  # such as by another host that shares the disk, and does not see this lock
        (folder / "summary.md").write_text("theirs")
        (folder / MARKER).write_text('{"kind": "run", "finished": true, "files": ["summary.md"]}')
        with pytest.raises(InputError, match="has appeared since this run started"):
            finish_output(folder)
    assert (folder / "summary.md").read_text() == "theirs"
    assert (partial_folder(folder) / "summary.md").read_text() == "ours"
    with sole_writer(folder, RUN, overwrite=True):
        finish_output(folder)
    assert (folder / "summary.md").read_text() == "ours"


def test_a_file_that_the_user_put_beside_unfinished_work_is_not_ours(tmp_path):
    folder = tmp_path / "run"
    with sole_writer(folder, RUN, overwrite=False):
        (partial_folder(folder) / "mine.jpg").write_text("mine")
        finish_output(folder)
    with pytest.raises(InputError, match=r"did not write, such as 'mine\.jpg'"):
        check_output(folder, overwrite=True)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden.jpg", "labels.csv"])
def test_what_the_user_wrote_is_no_litter(tmp_path, name):
    folder = finished(tmp_path / "run")
    (folder / name).write_text("mine")
    with pytest.raises(InputError, match="did not write"):
        check_output(folder, overwrite=True)


@pytest.mark.parametrize("data", ["folder:~nobody-at-all/photos", "folder:" + "x" * 5000, "digits"])
def test_what_cannot_be_looked_up_is_nothing_that_is_read(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()  # a name of data, and not a place
    assert inputs_of(Recipe(data=data, strategy=NewHead())) == []
    (tmp_path / "mine").mkdir()
    assert inputs_of(Recipe(data="folder:mine", strategy=NewHead())) == [pathlib.Path("mine")]
