"""A cluster of processes on this machine, for one command."""

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
    print_line,
    wait_for_exit,
)
from tl_toolkit.errors import InputError, LostWorkerError, PreemptedError, StoppedError


def launch(command: Sequence[str], workers: int, restarts: int = 0) -> int:
    """Runs a command as the workers of a cluster, and returns one exit code for all.

    Every process gets its `TF_CONFIG`; they talk over the loopback interface, and every line of output begins
    with its process's name. A failure of one ends all, unless the first, which writes the results, is done.
    SIGTERM and Ctrl-C are passed on, and the workers have the time to write a checkpoint; a second signal
    ends them.

    Args:
        command: Of every worker.
        workers: Number of workers.
        restarts: How often all are started again after one was lost (ended by a signal); they resume from
            their checkpoint.

    Raises:
        InputError: `workers` is under 1, or `restarts` under 0.
    """
    if workers < 1 or restarts < 0:
        raise InputError(
            f"`workers` must be at least 1, and `restarts` at least 0. Received: {workers} and {restarts}"
        )
    for left in range(restarts, -1, -1):
        code = _run(command, workers)
        if not _is_lost(code) or left == 0:
            return exit_code(code)
        print_line("launch", f"starting all again, {left} times at the most")
    raise AssertionError("unreachable")


def _run(command: Sequence[str], workers: int) -> int:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    asked: list[int] = []
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
    """Returns the code of the first that fails, or 0 when all are done; negative for a signal."""
    while True:
        codes = [process.poll() for process in processes]
        for process, code in zip(processes, codes, strict=True):
            if code not in (None, 0):
                print_line("launch", f"{process.name} {describe_end(code)}")
                if code in (
                    InputError.exit_code,
                    StoppedError.exit_code,
                    PreemptedError.exit_code,
                ):  # the others end the same way
                    wait_for_exit(processes)
                end_all(processes)
                return 0 if _is_lost(code) and processes[0].poll() == 0 else code
        if None not in codes:
            return 0
        if asked:
            return _stop(processes, asked)
        time.sleep(0.1)


def _stop(processes: list[LocalProcess], asked: list[int]) -> int:
    """Waits until workers that were asked to stop have ended, however long their checkpoint takes."""
    expected = PreemptedError.exit_code if asked[0] == signal.SIGTERM else StoppedError.exit_code
    if expected == PreemptedError.exit_code:  # a terminal sends Ctrl-C to all by itself
        for process in processes:
            process.terminate()
    while len(asked) == 1 and None in [process.poll() for process in processes]:
        time.sleep(0.1)
    end_all(processes)
    # An error first: then there may be no checkpoint to resume from.
    codes = [process.poll() for process in processes]
    others = [code for code in codes if code not in (0, expected)]
    return others[0] or 0 if others else max(code or 0 for code in codes)


def _is_lost(code: int) -> bool:
    """Whether a process ended because a signal killed it, or because another one is gone."""
    return code < 0 or code == LostWorkerError.exit_code
