"""A cluster on this machine: every process knows its place, and they end together."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tl_toolkit.devices.launch import launch
from tl_toolkit.devices.local_processes import exit_code
from tl_toolkit.errors import InputError

TASK = "import json, os; config = json.loads(os.environ['TF_CONFIG']); index = config['task']['index']\n"


def python(script):
    return [sys.executable, "-c", TASK + script]


def test_every_worker_knows_the_cluster_and_its_place(capfd):
    assert launch(python("print(json.dumps(config)); print(index)"), 3) == 0
    lines = sorted(capfd.readouterr().out.splitlines())
    configs = [json.loads(line.partition("] ")[2]) for line in lines if "{" in line]
    assert [config["task"] for config in configs] == [
        {"type": "worker", "index": index} for index in range(3)
    ]
    addresses = configs[0]["cluster"]["worker"]
    assert all(config["cluster"] == {"worker": addresses} for config in configs)
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert {f"[worker{index}] {index}" for index in range(3)} <= set(lines)


def test_a_failure_ends_all_with_its_message_and_exit_code(capfd):
    script = "import sys, time\nif index == 1: print('no such folder'); sys.exit(7)\ntime.sleep(60)"
    started = time.monotonic()
    assert launch(python(script), 3) == 7
    assert time.monotonic() - started < 20
    output = capfd.readouterr().out
    assert "[worker1] no such folder" in output
    assert "[launch] worker1 ended with exit code 7" in output


def test_a_worker_that_is_killed_ends_all(capfd):
    script = "import time\nif index == 0: os.kill(os.getpid(), 9)\ntime.sleep(60)"
    assert launch(python(script), 2) == exit_code(-9) == 137
    assert "[launch] worker0 killed by SIGKILL" in capfd.readouterr().out


def test_all_are_started_again_as_often_as_asked(tmp_path, capfd):
    script = (
        "import pathlib, sys, time\n"
        f"log = pathlib.Path({str(tmp_path)!r}, str(index)); tries = len(list(log.parent.glob(log.name + '.*')))\n"
        "pathlib.Path(f'{log}.{tries}').touch()\n"
        "if index == 1 and tries < 2: os.kill(os.getpid(), 9)\n"
        "while len(list(log.parent.glob('1.*'))) < 3: time.sleep(0.05)\n"
    )
    assert launch(python(script), 2, restarts=1) == 137
    for path in tmp_path.iterdir():
        path.unlink()
    assert launch(python(script), 2, restarts=2) == 0
    assert capfd.readouterr().out.count("starting all again") == 3


@pytest.mark.parametrize("code", [1, 2, 75, 130])
def test_only_a_loss_is_tried_again(code, capfd):
    assert launch(python(f"import sys; sys.exit({code})"), 1, restarts=5) == code
    assert "starting all again" not in capfd.readouterr().out


def test_a_worker_that_is_lost_after_the_first_is_done_is_no_failure(tmp_path, capfd):
    script = (
        "import pathlib, time\n"
        f"done = pathlib.Path({str(tmp_path)!r}, 'done')\n"
        "if index == 0: done.touch()\n"
        "else:\n"
        "    while not done.exists(): time.sleep(0.05)\n"
        "    time.sleep(0.5); os.kill(os.getpid(), 9)\n"
    )
    assert launch(python(script), 2, restarts=1) == 0
    output = capfd.readouterr().out
    assert "[launch] worker1 killed by SIGKILL" in output
    assert "starting all again" not in output


@pytest.mark.parametrize(("codes", "whole"), [((0, 75), 75), ((75, 1), 1), ((0, 0), 0)])
def test_a_preemption_is_told_of_only_where_all_wrote_their_checkpoint(codes, whole, tmp_path):
    process = start_and_wait(tmp_path, f"sys.exit({codes}[index])")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == whole


@pytest.mark.slow
def test_a_second_signal_ends_workers_that_take_too_long(tmp_path):
    process = start_and_wait(tmp_path, "time.sleep(50); sys.exit(75)", seconds_to_end=0.5)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
    assert process.wait(20) == exit_code(-9)


def start_and_wait(folder, end, seconds_to_end=30):
    """A launch of two workers that do that at SIGTERM; returns when both are ready for it."""
    worker = (
        "import pathlib, signal, sys, time\n"
        "def end(number, frame):\n"
        f"    {end}\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"pathlib.Path({str(folder)!r}, f'ready{{index}}').touch()\n"
        "time.sleep(60)\n"
    )
    script = (
        "import sys\nfrom tl_toolkit.devices import local_processes\n"
        "from tl_toolkit.devices.launch import launch\n"
        f"local_processes.SECONDS_TO_END = {seconds_to_end}\n"
        f"sys.exit(launch([sys.executable, '-c', {TASK + worker!r}], 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    while len(list(folder.glob("ready*"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_is_waited_for(signum, code, tmp_path):
    worker = (
        "import pathlib, signal, sys, time\n"
        "def end(number, frame):\n"
        f"    time.sleep(0.5); pathlib.Path({str(tmp_path)!r}, str(index)).touch(); sys.exit({code})\n"
        f"signal.signal({int(signum)}, end)\n"
        f"pathlib.Path({str(tmp_path)!r}, f'ready{{index}}').touch()\n"
        "time.sleep(60)\n"
    )
    script = (
        "import sys\nfrom tl_toolkit.devices.launch import launch\n"
        f"sys.exit(launch([sys.executable, '-c', {TASK + worker!r}], 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        while len(list(tmp_path.glob("ready*"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        # A terminal sends Ctrl-C to all, a scheduler SIGTERM to the one that it knows.
        if signum == signal.SIGINT:
            os.killpg(process.pid, signum)
        else:
            process.send_signal(signum)
        assert process.wait(20) == code
    finally:
        process.kill()
    assert (tmp_path / "0").exists()
    assert (tmp_path / "1").exists()


@pytest.mark.parametrize(("workers", "restarts"), [(0, 0), (-1, 0), (1, -1)])
def test_numbers_that_make_no_sense_are_refused(workers, restarts):
    with pytest.raises(InputError, match=r"`workers` must be at least 1.*Received"):
        launch(["true"], workers, restarts)


def test_handlers_are_put_back():
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    assert launch(["true"], 1) == 0
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before
