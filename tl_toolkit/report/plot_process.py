"""Plots of a run, drawn by another process while this one goes on: they take seconds, and there are two cores."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import pathlib
import pickle
import subprocess
import sys
from collections.abc import Iterator

from tl_toolkit.report.run_plots import RunPlots

# Where modules are found is told: this process may have been started in other ways than with `PYTHONPATH`.
PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from tl_toolkit.report.draw_run import main
main()
"""


@contextlib.contextmanager
def plot_process() -> Iterator[PlotProcess]:
    """Yields one, which imports what it draws with from now on; it ends with the block."""
    process = PlotProcess()
    try:
        yield process
    finally:
        process.close()


class PlotProcess:
    """Draws the plots of one run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps([str(path) for path in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process
        )
        self._thread = concurrent.futures.ThreadPoolExecutor(1)

    def draw(self, plots: RunPlots, folder: pathlib.Path) -> None:
        """Hands it what to draw, and where to; does not wait."""
        given = pickle.dumps((plots, folder.absolute()))
        self._answer = self._thread.submit(self._process.communicate, given)

    def wait(self) -> None:
        """Returns when the plots are drawn.

        Raises:
            RuntimeError: It ended before; the message ends with what it said.
            Exception: What drawing raised, such as OSError where the disk is full.
        """
        error, said = self._answer.result()
        if error:
            raise pickle.loads(error)
        if self._process.returncode:
            raise RuntimeError(
                f"The process that draws the plots ended with {self._process.returncode}:\n"
                f"{said.decode(errors='replace')[-2000:]}"
            )

    def close(self) -> None:
        """Ends it, if it is still there."""
        self._process.kill()
        self._thread.shutdown()  # of a thread that waited for it
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):  # what was not read by then
                pipe.close()  # type: ignore[union-attr]
