"""The chief and the workers of a search, as processes on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from tl_toolkit.devices.local_processes import (
    LocalProcess,
    end_all,
    free_ports,
    print_line,
    wait_for_exit,
)
from tl_toolkit.errors import InputError, PreemptedError, StoppedError

RESTARTS = 3  # of one worker
# keras-tuner's environment variables: with them the same command is the chief or a worker of a search.
TUNER_ID, ORACLE_IP, ORACLE_PORT = (
    "KERASTUNER_TUNER_ID",
    "KERASTUNER_ORACLE_IP",
    "KERASTUNER_ORACLE_PORT",
)
CHIEF = "chief"


def run_workers(command: Sequence[str], workers: int) -> int:
    """Runs a command as chief and workers, and returns one exit code for all.

    The processes talk over the loopback interface, and every line of output begins with its process's name. A
    worker that a signal kills is started again with its id and resumes its trial; an error of one ends all.

    Args:
        command: Of every process; they differ in keras-tuner's environment variables.
        workers: Number of workers, without the chief.

    Raises:
        InputError: `workers` is under 1.
    """
    if workers < 1:
        raise InputError(f"`workers` must be at least 1. Received: {workers}")
    shared = {ORACLE_IP: "127.0.0.1", ORACLE_PORT: str(free_ports(1)[0])}

    def start(name: str) -> LocalProcess:
        return LocalProcess(command, name, {**shared, TUNER_ID: name})

    names = [CHIEF, *(f"worker{number}" for number in range(workers))]
    processes = {name: start(name) for name in names}
    restarts = dict.fromkeys(names, 0)
    try:
        while (code_of_chief := processes[CHIEF].poll()) is None:
            for name in names[1:]:
                code = processes[name].poll()
                if code is None or code == 0:
                    continue
                if code > 0 or restarts[name] == RESTARTS:
                    return code if code > 0 else 1
                restarts[name] += 1
                print_line(name, f"killed by signal {-code}; started again")
                processes[name] = start(name)
            time.sleep(0.2)
        return code_of_chief
    except PreemptedError:  # only this process received SIGTERM
        end_all(processes.values())
        return PreemptedError.exit_code
    except KeyboardInterrupt:  # the others received it too, and write their checkpoints
        wait_for_exit(processes.values())
        return StoppedError.exit_code
    finally:
        end_all(processes.values())


def is_one_of_several() -> bool:
    """Whether this process is the chief or a worker of a search of several processes."""
    return ORACLE_IP in os.environ


def is_worker() -> bool:
    """Whether this process runs trials that the chief hands out."""
    return is_one_of_several() and not os.environ.get(TUNER_ID, "").startswith(CHIEF)
