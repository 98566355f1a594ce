"""The commands of docs/several_devices.md, as they stand there, on processes of the loopback."""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time

import keras
import numpy as np
import pytest
from tiny import values

from tl_toolkit.devices.local_processes import free_ports
from tl_toolkit.errors import LostWorkerError, PreemptedError

pytestmark = pytest.mark.slow

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "several_devices.md"
BLOCKS = re.findall(r"```(?:bash|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL)
LAUNCH, FIRST_HOST, SECOND_HOST, SLURM, KUBERNETES = BLOCKS
SECONDS = 180
LOST = (0, 1) if "LOSE_EACH_WORKER" in os.environ else (0,)  # `make test-long`: each in turn


@pytest.fixture
def place(tmp_path, photos):
    """A folder in which the commands find their photos."""
    (tmp_path / "photos").symlink_to(photos)
    return tmp_path


@pytest.fixture
def start(python, place, tiny_weights):
    """Starts a command of the page, with the tiny network in place of ResNet-50, in a number of epochs."""
    started = []
    installed = place / "installed"
    installed.mkdir()
    (installed / "tl-toolkit").write_text(f'#!/bin/sh\nexec {python} -m tl_toolkit.cli "$@"\n')
    (installed / "tl-toolkit").chmod(0o755)
    flags = {
        "weights": tiny_weights,
        "trainable-from": "conv3",
        "bn-mode": "adapt",
        "batch-size": 16,
        "learning-rate": 0.05,
        "precision": "float32",
        "seed": 3,
        "views": 2,
        "checkpoint-seconds": 1,
    }

    def start(command, epochs, output="my_run", **environment):
        log = place / f"log{len(started)}.txt"
        words = {**flags, "epochs": epochs}
        line = command.strip().replace("--output my_run", f"--output {output}")
        line += "".join(f" --{name} {shlex.quote(str(value))}" for name, value in words.items())
        process = subprocess.Popen(
            ["bash", "-c", line],
            cwd=place,
            env={
                **os.environ,
                "PATH": f"{installed}:{os.environ['PATH']}",
                "XDG_CACHE_HOME": str(place / "cache"),
                **environment,
            },
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )
        process.log = log
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def end(process):
    """Its exit code and what it said."""
    return process.wait(SECONDS), process.log.read_text()


def wait_for_checkpoint(folder, processes, after=0):
    """Waits for one of more steps than that, and returns the number of its steps."""
    moment = time.monotonic() + SECONDS
    while True:
        found = (folder / "checkpoints").glob("ckpt-*.index")
        newest = max((int(path.stem.partition("-")[2]) for path in found), default=0)
        if newest > after:
            return newest
        for process in processes:
            assert process.poll() is None, process.log.read_text()[-2000:]
        assert time.monotonic() < moment, "there never was one"
        time.sleep(0.05)


def weights_of(folder):
    return values(keras.models.load_model(folder / "model.keras"))


def on_loopback(commands):
    """The commands of two hosts with addresses of this one."""
    ports = free_ports(2)
    return [
        command.replace("host1:12345", f"127.0.0.1:{ports[0]}").replace(
            "host2:12345", f"127.0.0.1:{ports[1]}"
        )
        for command in commands
    ]


@pytest.mark.long
def test_a_cluster_survives_sigterm_and_the_loss_of_a_worker(place, start):
    epochs, partial = 30, place / "my_run.partial"
    code, output = end(start(LAUNCH, epochs, "launched"))
    assert code == 0, output[-3000:]
    (line,) = [line for line in output.splitlines() if "2 replicas (2 processes, of which" in line]
    assert line.startswith("[worker0] Training on 2 replicas")
    assert line.endswith(", batches of at most 16 images, at most 8 on each")
    assert output.count("Everything is in launched") == 1

    # By hand, and stopped by a signal to one of them.
    both = [start(command, epochs) for command in on_loopback([FIRST_HOST, SECOND_HOST])]
    wait_for_checkpoint(partial, both)
    both[1].send_signal(signal.SIGTERM)
    ends = [end(process) for process in both]
    assert [code for code, _ in ends] == [PreemptedError.exit_code] * 2, ends
    messages = [re.search(r"stopped after .*", output).group() for _, output in ends]
    assert messages[0] == messages[1]
    done = wait_for_checkpoint(partial, [])
    assert 0 < done < epochs * 3

    # Started again, and one of them is lost: the chief, whom all others are connected to.
    for lost in LOST:
        both = [start(command, epochs) for command in on_loopback([FIRST_HOST, SECOND_HOST])]
        done = wait_for_checkpoint(partial, both, after=done)
        both[lost].kill()
        lost_at = time.monotonic()
        code, output = end(both[1 - lost])
        assert time.monotonic() - lost_at < 60
        assert code == LostWorkerError.exit_code, output[-3000:]
        assert "Another of the 2 processes is gone. Start all of them again" in output

    # And to the end.
    both = [start(command, epochs) for command in on_loopback([FIRST_HOST, SECOND_HOST])]
    assert [end(process)[0] for process in both] == [0, 0]
    launched, by_hand = weights_of(place / "launched"), weights_of(place / "my_run")
    assert max(np.abs(launched[name] - by_hand[name]).max() for name in launched) == 0
    histories = [(place / run / "history.csv").read_text() for run in ("launched", "my_run")]
    assert histories[0] == histories[1]


# What SLURM does with the words after `srun`: two tasks on this host, and the highest of their codes.
SRUN = """\
export SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=127.0.0.1 SLURM_STEP_TASKS_PER_NODE=2
SLURM_PROCID=0 "$@" & first=$!
SLURM_PROCID=1 "$@"; code=$?
wait $first || code=$?
exit $code
"""


@pytest.fixture
def commands(tmp_path):
    """A folder for commands that stand in for others."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(name, script):
        (folder / name).write_text(f"#!/bin/bash\n{script}")
        (folder / name).chmod(0o755)
        return str(folder)

    return make


@pytest.mark.long
def test_slurm_tasks_are_the_workers_of_a_cluster(place, start, commands):
    folder = commands("srun", SRUN)
    (command,) = [line for line in SLURM.splitlines() if line.startswith("srun")]
    code, output = end(start(f"PATH={folder}:$PATH {command}", epochs=2))
    assert code == 0, output[-3000:]
    assert output.count("2 replicas (2 processes") == 1
    metrics = json.loads((place / "my_run" / "metrics.json").read_text())
    assert metrics["test"]["examples"] == 12


@pytest.mark.parametrize("code", [0, 2, PreemptedError.exit_code])
def test_a_slurm_job_ends_as_its_step_and_is_queued_again_where_it_was_preempted(
    code, place, commands
):
    commands("srun", f"exit {code}")
    folder = commands("scontrol", 'echo "$@"')
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    ended = subprocess.run(["bash", "-c", SLURM], env=environment, capture_output=True, text=True)
    assert ended.returncode == code
    assert ended.stdout == ("requeue 17\n" if code == PreemptedError.exit_code else "")


@pytest.mark.parametrize("index", [0, 1])
def test_a_pod_knows_its_place(index, place):
    script = KUBERNETES.partition("- |\n")[2].partition("          volumeMounts")[0]
    command = "\n".join(line.strip() for line in script.splitlines())
    assert "exec tl-toolkit train" in command
    printed = subprocess.run(
        ["bash", "-c", command.replace("exec tl-toolkit", "printenv TF_CONFIG; : tl-toolkit")],
        env={**os.environ, "JOB_COMPLETION_INDEX": str(index)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(printed) == {
        "cluster": {"worker": ["train-0.train:12345", "train-1.train:12345"]},
        "task": {"type": "worker", "index": index},
    }
