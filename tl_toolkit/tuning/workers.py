"""The chief and the workers of a search, as processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tl_toolkit.devices.local_processes import (
    LocalProcess,
    end_all,
    free_ports,
    say,
    wait_for_exit,
)
from tl_toolkit.errors import InputError, PreemptedError, StoppedError
from tl_toolkit.tuning.search import ORACLE_IP, ORACLE_PORT, TUNER_ID

RESTARTS = 3  # of one worker
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
    shared = {ORACLE_IP: "127.0.0.1", ORACLE_PORT: str(free_ports(1)[0])}

    def start(name: str) -> LocalProcess:
        return LocalProcess(command, name, {**shared, TUNER_ID: name})

    names = [CHIEF, *(f"worker{number}" for number in range(workers))]
    processes = {name: start(name) for name in names}
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
                say(name, f"killed by signal {-code}; started again")
                processes[name] = start(name)
            time.sleep(0.2)
        return processes[CHIEF].poll()
    except PreemptedError:  # this process alone has SIGTERM
        end_all(processes.values())
        return PreemptedError.exit_code
    except KeyboardInterrupt:  # the processes have it too, and write their checkpoints
        wait_for_exit(processes.values())
        return StoppedError.exit_code
    finally:
        end_all(processes.values())
