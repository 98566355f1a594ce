"""Who writes an output folder, and when."""

import types

import pytest
import tensorflow as tf
from filelock import FileLock

from tl_toolkit.errors import InputError, LostWorkerError
from tl_toolkit.experiments.run_folder import shared_output, sole_writer


class Fake:
    """One of two processes, the other of which is gone when they meet."""

    def __init__(self, is_chief):
        self.count, self.is_chief = 2, is_chief

    def barrier(self):
        raise tf.errors.UnavailableError(None, None, "connection refused")


def test_a_folder_has_one_writer_at_a_time(tmp_path):
    with (
        sole_writer(tmp_path / "run", overwrite=False),
        pytest.raises(
            InputError, match=r"Another process is writing '.*run\.partial': wait for it"
        ),
        sole_writer(tmp_path / "run", overwrite=True),
    ):
        raise AssertionError("two writers")
    with sole_writer(tmp_path / "run", overwrite=False), sole_writer(tmp_path / "other", False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_locked_is_done_without(tmp_path, monkeypatch):
    def acquire(self):
        raise NotImplementedError("no flock here")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with sole_writer(tmp_path / "run", overwrite=False):
        pass


def test_a_chief_that_is_done_has_not_failed_when_another_process_is_lost(tmp_path):
    with shared_output(tmp_path / "run", False, Fake(is_chief=True)) as folder:
        assert folder == tmp_path / "run"


def test_a_process_whose_chief_is_lost_before_its_end_has_failed(tmp_path):
    output = shared_output(tmp_path / "run", False, Fake(is_chief=False))
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
        shared_output(tmp_path / "run", False, processes),
    ):
        raise InputError("wrong")
