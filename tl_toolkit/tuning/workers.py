"""The chief and the workers of a search, as processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Sequence

from tl_toolkit.errors import InputError
from tl_toolkit.tuning.run_search import ORACLE_IP, ORACLE_PORT, TUNER_ID

RESTARTS = 3  # of one worker
SECONDS_TO_END = 30.0
CHIEF = "chief"


def run_workers(command: Sequence[str], workers: int) -> int:
    """Runs a command as chief and workers, and returns the exit code of the whole.

    The processes talk over the loopback, and their output is told apart by prefix. A worker that a signal
    killed is started again with its id and goes on with its trial; one that ends with an error ends all.

    Args:
        command: Of every process; they differ in keras-tuner's environment variables.
        workers: Beside the chief.

    Raises:
        InputError: A number of workers under 1.
    """
    if workers < 1:
        raise InputError(f"`workers` must be at least 1. Received: {workers}")
    shared = {ORACLE_IP: "127.0.0.1", ORACLE_PORT: str(_free_port())}
    names = [CHIEF, *(f"worker{number}" for number in range(workers))]
    processes = {name: _start(command, name, shared) for name in names}
    restarts = dict.fromkeys(names, 0)
    try:
        while processes[CHIEF].poll() is None:
            for name in names[1:]:
                code = processes[name].poll()
                if code is None or code == 0:
                    continue
                if code > 0 or restarts[name] == RESTARTS:
                    return code if code > 0 else 1
                restarts[name] += 1
                _say(name, f"killed by signal {-code}; started again")
                processes[name] = _start(command, name, shared)
            time.sleep(0.2)
        return processes[CHIEF].returncode
    except KeyboardInterrupt:  # the processes have it too, and write their checkpoints
        _wait(processes.values())
        return 130
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.terminate()
        _wait(processes.values())


def _start(command: Sequence[str], name: str, shared: dict[str, str]) -> subprocess.Popen:
    environment = {**os.environ, **shared, TUNER_ID: name}
    process = subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    def pass_on() -> None:
        for line in process.stdout:
            _say(name, line.rstrip("\n"))

    threading.Thread(target=pass_on, daemon=True).start()
    return process


def _wait(processes: Sequence[subprocess.Popen]) -> None:
    end = time.monotonic() + SECONDS_TO_END
    for process in processes:
        try:
            process.wait(max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _say(name: str, line: str) -> None:
    print(f"[{name}] {line}", flush=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
