"""Searches of several processes, and searches that are killed: `kill -9`, in the middle of a trial."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tl_toolkit.tuning.trials import COMPLETED, read_trials
from tl_toolkit.tuning.workers import run_workers

# A search whose epochs take their time, and which writes down its process and where trainings begin.
SCRIPT = """
import json, os, pathlib, sys, time
import tl_toolkit as tl
import keras
from tl_toolkit.experiments.context import Context
from tl_toolkit.training import precision
precision.CPU_INFO = pathlib.Path(os.devnull)

folder, recipe, pause = pathlib.Path(sys.argv[1]), tl.Recipe.load(sys.argv[2]), float(sys.argv[3])
name = os.environ.get("KERASTUNER_TUNER_ID", "alone")
(folder / f"{name}.pid").write_text(str(os.getpid()))

class Log(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.say({"begun_after": logs["epochs_done"]})
    def on_epoch_end(self, epoch, logs=None):
        self.say({"epoch": epoch})
        time.sleep(pause)
    def say(self, line):
        with (folder / f"{name}.log").open("a") as file:
            file.write(json.dumps(line) + chr(10))

tl.search(recipe, {"batch_size": [8, 16]}, tuner="random", trials=4, output=folder / "search",
          context=Context(callbacks=(Log(),), checkpoint_seconds=0.0))
"""


def prepared(folder, recipe):
    """The folder, with the script and the recipe in it."""
    folder.mkdir()
    recipe.replace(epochs=6, batch_size=None, learning_rate=None).save(folder / "recipe.json")
    (folder / "script.py").write_text(SCRIPT)
    return folder


def command(python, folder, pause):
    words = [python, folder / "script.py", folder, folder / "recipe.json", pause]
    return [str(word) for word in words]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.05)


def results(folder):
    trials = read_trials(folder / "search" / "trials")
    assert [trial.status for trial in trials] == [COMPLETED] * 4
    return [(trial.recipe, trial.figures) for trial in trials]


@pytest.mark.long
def test_a_search_resumes_after_kill_9_alone_and_as_chief_and_workers(
    python, photo_recipe, tmp_path
):
    alone = prepared(tmp_path / "alone", photo_recipe)
    log = alone / "alone.log"
    process = subprocess.Popen(command(python, alone, 0.4), stderr=subprocess.PIPE)
    # In the second trial, three of its epochs being done.
    wait_until(lambda: len(lines(log)) >= 1 + 6 + 1 + 3)
    os.kill(int((alone / "alone.pid").read_text()), signal.SIGKILL)
    process.communicate()
    killed_after = len(lines(log))
    subprocess.run(command(python, alone, 0), check=True, capture_output=True)
    begun = [line["begun_after"] for line in lines(log)[killed_after:] if "begun_after" in line]
    assert len(begun) == 3
    assert begun[0] >= 2
    assert begun[1:] == [0, 0]

    # The same search by a chief and two workers, one of which is killed in its first trial.
    shared = prepared(tmp_path / "shared", photo_recipe)
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(run_workers(command(python, shared, 0.4), 2))
    )
    thread.start()
    victim = shared / "worker1.log"
    wait_until(lambda: len(lines(victim)) >= 3)
    os.kill(int((shared / "worker1.pid").read_text()), signal.SIGKILL)
    thread.join(timeout=180)
    assert codes == [0]
    begun = [line["begun_after"] for line in lines(victim) if "begun_after" in line]
    assert begun[0] == 0
    assert begun[1] >= 1, "the worker did not resume its trial"
    assert lines(shared / "worker0.log"), "one worker did it all"
    assert results(shared) == results(alone)


def test_an_error_of_a_worker_ends_all_with_its_code(capfd):
    script = (
        "import os, sys, time\n"
        "if os.environ['KERASTUNER_TUNER_ID'] == 'worker1': sys.exit('error: no such folder')\n"
        "time.sleep(60)"
    )
    started = time.monotonic()
    assert run_workers([sys.executable, "-c", script], 2) == 1
    assert time.monotonic() - started < 30
    wait_until(lambda: "[worker1] error: no such folder" in capfd.readouterr().out, 5)


def test_a_worker_that_is_killed_again_and_again_is_given_up(capfd):
    script = (
        "import os, time\n"
        "if os.environ['KERASTUNER_TUNER_ID'] == 'worker0': os.kill(os.getpid(), 9)\n"
        "time.sleep(60)"
    )
    assert run_workers([sys.executable, "-c", script], 1) == 1
    assert capfd.readouterr().out.count("killed by signal 9; started again") == 3


def test_sigterm_is_passed_on_and_has_its_code(tmp_path):
    ended = (
        "import os, pathlib, signal, sys, time\n"
        "place = pathlib.Path(sys.argv[1], os.environ['KERASTUNER_TUNER_ID'])\n"
        "signal.signal(signal.SIGTERM, lambda *_: (place.with_suffix('.end').touch(), sys.exit(75)))\n"
        "place.with_suffix('.start').touch()\n"
        "time.sleep(60)"
    )
    script = (
        "import sys\nfrom tl_toolkit.cli.exit_codes import exit_codes\n"
        "from tl_toolkit.tuning.workers import run_workers\n"
        f"with exit_codes(): sys.exit(run_workers([sys.executable, '-c', {ended!r}, sys.argv[1]], 1))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    try:
        wait_until(lambda: len(list(tmp_path.glob("*.start"))) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 75
    finally:
        process.kill()
    assert sorted(path.name for path in tmp_path.glob("*.end")) == ["chief.end", "worker0.end"]


def test_the_processes_talk_over_the_loopback(capfd):
    script = "import os; print(os.environ['KERASTUNER_ORACLE_IP'])"
    assert run_workers([sys.executable, "-c", script], 1) == 0
    wait_until(lambda: "[chief] 127.0.0.1" in capfd.readouterr().out, 5)
