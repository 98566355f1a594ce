"""A run that is killed at any moment, and given again, ends as one that was not.

Runs are ended just before their K-th write: `make test` tries one, `make test-long` all. One is ended by a real
`kill -9` in the middle of a step.
"""

import csv
import json
import pathlib
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import pytest
from killed_run import EXIT_CODE

import tl_toolkit as tl
from tl_toolkit.export.saved_model_layout import SAVED_MODEL
from tl_toolkit.weights.run_folder import MODEL_FILE

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(__file__).with_name("killed_run.py")
STRATEGIES = {
    "last_layers": tl.LastLayers("conv3", bn_mode="adapt", head_first=False),
    "all": tl.FullFineTune(),
}
SECONDS = 120


def outcome(folder):
    """Everything of a finished run but how long it took."""
    arrays = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with (
        zipfile.ZipFile(folder / "run" / MODEL_FILE) as archive,
        archive.open("model.weights.h5") as file,
        h5py.File(file) as weights,
    ):
        weights.visititems(keep)
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    del metrics["seconds"], metrics["facts"]["training"]  # it says the seconds too
    with (folder / "run" / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    names = sorted(path.name for path in (folder / "run").iterdir())
    return arrays, metrics, history, names


@pytest.fixture(scope="module", params=["last_layers", pytest.param("all", marks=pytest.mark.long)])
def undisturbed(request, photo_recipe, tmp_path_factory, python):
    """What the recipe gives, a function that runs it, and how often it writes."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = folder / "recipe.json"
    photo_recipe.replace(
        strategy=STRATEGIES[request.param],
        epochs=3,
        patience=2,
        learning_rate=0.02,
        class_balance="sampling",
    ).save(recipe)

    def start(place, *last, python=python):
        return subprocess.Popen([python, SCRIPT, recipe, place, *map(str, last)])

    assert start(folder).wait(SECONDS) == 0
    writes = (folder / "writes.txt").read_text().split()
    return request.param, outcome(folder), start, writes


def assert_ends_as(expected, start, folder, where):
    if (folder / "run").exists():  # it had its name already: it was whole
        assert (folder / "run" / SAVED_MODEL / "saved_model.pb").exists(), where
    else:
        assert start(folder).wait(SECONDS) == 0, where
    weights, metrics, history, names = expected
    again = outcome(folder)
    assert set(again[0]) == set(weights), where
    different = [name for name in weights if again[0][name].tobytes() != weights[name].tobytes()]
    assert different == [], where
    assert again[1:3] == (metrics, history), where
    assert set(names) <= set(again[3]), where
    assert len(history) > 1
    assert len(weights) > 10


def end_before(moments, undisturbed, tmp_path):
    _, expected, start, writes = undisturbed
    for moment in moments:
        where = f"ended before write {moment} of {len(writes)}, {writes[moment - 1]}"
        folder = tmp_path / str(moment)
        folder.mkdir()
        code = start(folder, moment).wait(SECONDS)
        # The digests of the photos, which all runs share, are written by the first one alone.
        assert code == EXIT_CODE or (code == 0 and moment > len(writes) - 2), where
        assert_ends_as(expected, start, folder, where)


@pytest.mark.long
def test_a_run_that_ends_before_one_of_its_writes_resumes_to_the_same_bits(undisturbed, tmp_path):
    writes = undisturbed[3]
    assert {"save", "rename", "replace", "rmtree"} <= set(writes)
    end_before([2 * len(writes) // 3], undisturbed, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_run_that_ends_before_any_of_its_writes_resumes_to_the_same_bits(undisturbed, tmp_path):
    end_before(range(1, len(undisturbed[3]) + 1), undisturbed, tmp_path)


@pytest.mark.parametrize("undisturbed", ["last_layers"], indirect=True)
def test_a_run_that_is_killed_by_a_signal_resumes_to_the_same_bits(undisturbed, tmp_path):
    _, expected, start, _ = undisturbed
    process = start(tmp_path, python=sys.executable)  # the signal ends the process itself
    checkpoints = tmp_path / "run.partial" / "checkpoints"
    started = time.monotonic()
    while not list(checkpoints.glob("ckpt-*.index")):
        assert process.poll() is None
        assert time.monotonic() - started < SECONDS
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert_ends_as(expected, start, tmp_path, "killed after its first checkpoint")
