"""Processes of this machine: started together, told apart by a prefix of their output, ended together."""

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
    """A process whose output is passed on line by line behind its name.

    Args:
        command: Its words.
        name: Before its lines.
        environment: Beside that of this process.
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
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def _pass_on(self) -> None:
        for line in self._process.stdout:
            say(self.name, line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Returns its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Asks it to end, if it runs."""
        if self.poll() is None:
            self._process.terminate()

    def wait_until(self, moment: float) -> None:
        """Waits for its end, and kills it at that moment of `time.monotonic`."""
        try:
            self._process.wait(max(moment - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)


def wait_for_exit(processes: Iterable[LocalProcess]) -> None:
    """Gives them some time to end by themselves."""
    moment = time.monotonic() + SECONDS_TO_END
    for process in processes:
        process.wait_until(moment)


def end_all(processes: Iterable[LocalProcess]) -> None:
    """Asks all to end, and waits for it."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    wait_for_exit(processes)


def say(name: str, line: str) -> None:
    """Prints a line of a process."""
    sys.stdout.write(f"[{name}] {line}\n")
    sys.stdout.flush()


def free_ports(count: int) -> list[int]:
    """Returns ports of the loopback that nobody listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def exit_code(code: int) -> int:
    """That of a shell: 128 and the signal's number for a process that a signal ended."""
    return code if code >= 0 else 128 - code


def describe_end(code: int) -> str:
    """How a process ended, in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
