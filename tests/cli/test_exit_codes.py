"""Every error that a user can act on ends with its message and a code of its own."""

import os
import signal

import pytest

from tl_toolkit.cli.exit_codes import exit_codes
from tl_toolkit.errors import InputError, LostWorkerError, PreemptedError, StoppedError


@pytest.fixture(autouse=True)
def _handler_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("no such folder"), 2, "error: no such folder\n"),
        (LostWorkerError("one is gone"), 69, "error: one is gone\n"),
        (PreemptedError("stopped after step 3"), 75, "stopped after step 3\n"),
        (StoppedError("stopped after step 4"), 130, "stopped after step 4\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_becomes_a_message_and_a_code(error, code, message, capsys):
    with pytest.raises(SystemExit) as end, exit_codes():
        raise error
    assert end.value.code == code
    assert capsys.readouterr().err == message


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), exit_codes():
        print(1 / 0)


def test_sigterm_outside_of_training_has_its_code_too(capsys):
    with pytest.raises(SystemExit) as end, exit_codes():
        os.kill(os.getpid(), signal.SIGTERM)
    assert end.value.code == 75
    assert "stopped by SIGTERM; the same command resumes" in capsys.readouterr().err
