"""Processes on this machine that start together, prefix their output, and end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

SECONDS_TO_END = 30.0  # longer than it takes to notice that another process is gone


class LocalProcess:
    """A process whose output is printed line by line, each line after the process's name.

    Args:
        command: The program and its arguments.
        name: Printed before its lines.
        environment: Variables added to those of this process.
    """

    def __init__(self, command: Sequence[str], name: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._print_output, daemon=True)
        self._reader.start()

    def _print_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                print_line(self.name, line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Returns its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Sends it SIGTERM if it is running."""
        if self.poll() is None:
            self._process.terminate()

    def wait_until(self, moment: float) -> None:
        """Waits until it ends; kills it at `moment`, a time of `time.monotonic`."""
        try:
            self._process.wait(max(moment - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)


def wait_for_exit(processes: Iterable[LocalProcess]) -> None:
    """Waits for processes to end, and kills those that take longer than `SECONDS_TO_END`."""
    moment = time.monotonic() + SECONDS_TO_END
    for process in processes:
        process.wait_until(moment)


def end_all(processes: Iterable[LocalProcess]) -> None:
    """Sends SIGTERM to all, and waits until they have ended."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    wait_for_exit(processes)


def print_line(name: str, line: str) -> None:
    """Prints a line of a process's output, after its name."""
    sys.stdout.write(f"[{name}] {line}\n")
    sys.stdout.flush()


def free_ports(count: int) -> list[int]:
    """Returns ports of the loopback interface that nothing listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def exit_code(code: int) -> int:
    """Returns the exit code that a shell reports: 128 plus the signal's number if a signal ended a process."""
    return code if code >= 0 else 128 - code


def describe_end(code: int) -> str:
    """Returns how a process ended, in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
