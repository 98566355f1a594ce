"""Another process with TensorFlow alone, which imports it while other work goes on."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

RELOAD_SCRIPT = pathlib.Path(__file__).with_name("reload_check.py")

_waiting: list[FreshProcess] = []


@contextlib.contextmanager
def fresh_process() -> Iterator[FreshProcess]:
    """Yields one that the block has for itself; the next block takes it over, if nothing failed."""
    try:
        process = _waiting.pop()
    except IndexError:  # none, or another thread has it
        process = FreshProcess()
    try:
        yield process
    except BaseException:
        process.close()
        raise
    if _waiting:
        process.close()
    else:
        _waiting.append(process)


@atexit.register
def _close_waiting() -> None:
    while _waiting:
        _waiting.pop().close()


class FreshProcess:
    """Loads SavedModels, as `reload_check.py` does. It computes on the processor.

    It ends with this process, or some minutes after its last answer, and is started again where needed.
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._messages = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(RELOAD_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process
            # This process holds the GPUs' memory.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        )

    def ask(self, folder: pathlib.Path, given: pathlib.Path, answered: pathlib.Path) -> None:
        """Hands it the SavedModel, a file with images, and the path of the file for its answers; does not wait."""
        if self._process.poll() is not None:  # its patience is over, or somebody has ended it
            self.close()
            self._start()
        # Absolute: its working folder is where this process was when it was started.
        paths = [os.path.abspath(path) for path in (folder, given, answered)]
        self._asked = json.dumps(paths) + "\n"
        with contextlib.suppress(OSError):  # `wait` says why
            self._process.stdin.write(self._asked)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]

    def wait(self) -> None:
        """Returns when the answers are written.

        Raises:
            RuntimeError: It could not load the SavedModel or answer; the message ends with what it said.
        """
        for _ in range(2):
            if self._asked in self._process.stdout:  # type: ignore[operator]
                return
            if self._process.wait():
                break
            # Its patience ended while it was asked: once more.
            self.ask(*map(pathlib.Path, json.loads(self._asked)))
        self._messages.seek(0)
        raise RuntimeError(
            f"The SavedModel does not load in a fresh process:\n{self._messages.read()[-2000:]}"
        )

    def close(self) -> None:
        """Ends it, if it is still there."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._messages):
            with contextlib.suppress(OSError):  # what was not read by then
                pipe.close()  # type: ignore[union-attr]
