"""A cluster of processes on this machine, made for one command."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence

from tl_toolkit.devices.local_processes import (
    LocalProcess,
    describe_end,
    end_all,
    exit_code,
    free_ports,
    say,
    wait_for_all,
)
from tl_toolkit.errors import InputError
from tl_toolkit.exit_codes import INTERRUPTED, PREEMPTED, WRONG_INPUT

FINAL = (0, WRONG_INPUT, INTERRUPTED, PREEMPTED)  # nothing to start again for


def launch(command: Sequence[str], workers: int, restarts: int = 0) -> int:
    """Runs a command as the workers of a cluster, and returns the exit code of the whole.

    Every process has its `TF_CONFIG`; they talk over the loopback, and their output is told apart by
    prefix. One that fails ends all. SIGTERM and Ctrl-C are passed on: the workers write a checkpoint.

    Args:
        command: Of every worker.
        workers: How many.
        restarts: How often all are started again after one was lost; they go on from their checkpoint.

    Raises:
        InputError: Under 1 worker, or under 0 restarts.
    """
    if workers < 1 or restarts < 0:
        raise InputError(
            f"`workers` must be at least 1, and `restarts` at least 0. Received: {workers} and {restarts}"
        )
    for left in range(restarts, -1, -1):
        code = _run(command, workers)
        if code in FINAL or left == 0:
            return code
        say("launch", f"starting all again, {left} times at the most")
    raise AssertionError("unreachable")


def _run(command: Sequence[str], workers: int) -> int:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    asked = []
    handlers = {
        signum: signal.signal(signum, lambda number, frame: asked.append(number))
        for signum in (signal.SIGINT, signal.SIGTERM)
    }
    processes: list[LocalProcess] = []
    try:
        for index in range(workers):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            processes.append(LocalProcess(command, f"worker{index}", {"TF_CONFIG": config}))
        return _watch(processes, asked)
    finally:
        end_all(processes)
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


def _watch(processes: list[LocalProcess], asked: list[int]) -> int:
    """Returns the code of the first that fails, or 0 when all are done."""
    while True:
        codes = [process.poll() for process in processes]
        for process, code in zip(processes, codes, strict=True):
            if code not in (None, 0):
                if exit_code(code) in FINAL:  # the others are about to end in the same way
                    wait_for_all(processes)
                say("launch", f"{process.name} {describe_end(code)}")
                return exit_code(code)
        if all(code == 0 for code in codes):
            return 0
        if asked:
            signum = asked[0]
            if signum == signal.SIGTERM:  # a terminal sends Ctrl-C to all by itself
                for process in processes:
                    process.terminate()
            wait_for_all(processes)
            return PREEMPTED if signum == signal.SIGTERM else INTERRUPTED
        time.sleep(0.1)
