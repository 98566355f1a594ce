"""A fresh process with TensorFlow alone, which imports it while other work goes on."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys

RELOAD_SCRIPT = pathlib.Path(__file__).with_name("reload_check.py")


class FreshProcess:
    """Loads one SavedModel, as `reload_check.py` does. It computes on the processor, and ends with this process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(RELOAD_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process
            # This process holds the GPUs' memory.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        )

    def ask(self, folder: pathlib.Path, given: pathlib.Path, answered: pathlib.Path) -> None:
        """Hands it the SavedModel, a file with images, and the path of the file for its answers; does not wait."""
        words = json.dumps([str(folder), str(given), str(answered)])
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `wait` says why
            self._process.stdin.write(f"{words}\n")
            self._process.stdin.flush()

    def wait(self) -> None:
        """Returns when the answers are written.

        Raises:
            RuntimeError: It could not load the SavedModel or answer; the message ends with what it said.
        """
        _, messages = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(
                f"The SavedModel does not load in a fresh process:\n{messages[-2000:]}"
            )

    def close(self) -> None:
        """Ends it, if it is still there."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            with contextlib.suppress(OSError):  # what was not read by then
                pipe.close()  # type: ignore[union-attr]
