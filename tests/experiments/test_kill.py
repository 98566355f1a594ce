"""A run that is killed at any moment, and given again, ends as one that was not: `kill -9`, anywhere.

`make test` kills at a few moments, `make test-kill` at many (`KILL_POINTS`).
"""

import csv
import json
import os
import signal
import time
import zipfile

import h5py
import numpy as np
import pytest
from fresh_process import WITH_TENSORFLOW

import tl_toolkit as tl
from tl_toolkit.experiments.run import SAVED_MODEL, run
from tl_toolkit.transfer.feature_cache import FeatureCache
from tl_toolkit.weights.run_folder import MODEL_FILE

pytestmark = pytest.mark.slow

POINTS = int(os.environ.get("KILL_POINTS", "4"))
STRATEGIES = {"last_layers": tl.LastLayers("conv3", bn_mode="adapt"), "all": tl.FullFineTune()}
SECONDS = 120


def run_recipe(recipe, folder):
    """What each process does: the run, its cache beside it, a checkpoint after every step."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    from tl_toolkit.experiments.train_and_validate import Context

    cache = FeatureCache(folder / "cache")
    run(recipe, folder / "run", context=Context(feature_cache=cache, checkpoint_seconds=0.0))


def start(recipe, folder):
    process = WITH_TENSORFLOW.Process(target=run_recipe, args=(recipe, folder))
    process.start()
    return process


def finish(process):
    process.join(SECONDS)
    assert process.exitcode == 0


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
    del metrics["seconds"]
    with (folder / "run" / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    names = sorted(path.name for path in (folder / "run").iterdir())
    return arrays, metrics, history, names


@pytest.fixture(scope="module", params=STRATEGIES)
def undisturbed(request, photo_recipe, tmp_path_factory):
    """The recipe, what it gives, and how long that takes."""
    recipe = photo_recipe.replace(
        strategy=STRATEGIES[request.param],
        batch_size=8,
        epochs=6,
        patience=4,
        learning_rate=0.02,
        class_balance="sampling",
    )
    folder = tmp_path_factory.mktemp(request.param)
    started = time.monotonic()
    finish(start(recipe, folder))
    return recipe, outcome(folder), time.monotonic() - started


@pytest.mark.parametrize("point", range(POINTS // 2))
def test_a_run_that_is_killed_ends_as_one_that_was_not(point, undisturbed, tmp_path):
    recipe, (weights, metrics, history, names), seconds = undisturbed
    share = (point + np.random.default_rng(os.getpid() + point).random()) / (POINTS // 2)
    process = start(recipe, tmp_path)
    process.join(share * seconds)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)  # 0: it ended just then
    where = f"killed after {share:.3f} of {seconds:.1f} s"
    if (tmp_path / "run").exists():
        assert (tmp_path / "run" / SAVED_MODEL / "saved_model.pb").exists(), where
    else:
        finish(start(recipe, tmp_path))
    again = outcome(tmp_path)
    assert set(again[0]) == set(weights), where
    different = [name for name in weights if again[0][name].tobytes() != weights[name].tobytes()]
    assert different == [], where
    assert again[1:3] == (metrics, history), where
    assert set(names) <= set(again[3]), where
    assert len(history) > 1
    assert len(weights) > 10
