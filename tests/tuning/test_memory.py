"""Trial after trial leaves memory flat, in a process that does nothing else.

`make test` runs 30 trials, `make test-long` a hundred (`MEMORY_TRIALS`).
"""

import json
import os
import subprocess

import numpy as np
import pytest

TRIALS = int(os.environ.get("MEMORY_TRIALS", "30"))

SCRIPT = """
import json, pathlib, resource, sys
import tl_toolkit as tl
import keras
from tl_toolkit.experiments.context import Context

resident = []

class MemoryUse(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        resident.append(pages * resource.getpagesize() / 2**20)

tl.search(tl.Recipe.load(sys.argv[1]), tuner="random", trials=int(sys.argv[3]), output=sys.argv[2],
          context=Context(callbacks=(MemoryUse(),)))
print(json.dumps(resident))
"""


@pytest.mark.long
def test_trials_leave_memory_flat(python, photo_recipe, tmp_path):
    recipe = tmp_path / "recipe.json"
    photo_recipe.replace(epochs=1, batch_size=None, learning_rate=None).save(recipe)
    words = [python, "-c", SCRIPT, str(recipe), str(tmp_path / "search"), str(TRIALS)]
    process = subprocess.run(words, check=True, capture_output=True, text=True)
    resident = json.loads(process.stdout.splitlines()[-1])
    assert len(resident) == TRIALS
    half, tenth = TRIALS // 2, TRIALS // 10
    # In megabytes, over the second half: the graph of a step that is kept makes 1.3 a trial.
    growth = np.median(resident[-tenth:]) - np.median(resident[half - tenth : half])
    assert growth < 0.4 * half
