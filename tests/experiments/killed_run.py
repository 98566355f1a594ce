"""A run that ends just before its K-th write, as by `kill -9`; without K it ends by itself and counts its writes.

    python killed_run.py RECIPE.json FOLDER [K]

FOLDER gets the run, its feature cache, and without K `writes.txt`.
"""

import functools
import os
import pathlib
import shutil
import sys

import keras
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))  # of the tests
from graphs import quick_graphs
from matplotlib.figure import Figure
from this_process import plots_in_this_process, this_process

from tl_toolkit.experiments import report as report_module
from tl_toolkit.experiments import run as run_module
from tl_toolkit.experiments.context import Context
from tl_toolkit.recipe import Recipe
from tl_toolkit.transfer.feature_cache import FeatureCache

# Everything by which a run changes what lies on the disk.
WRITES = (
    (os, "replace"),
    (os, "rename"),
    (shutil, "rmtree"),
    (pathlib.Path, "write_text"),
    (tf.train.CheckpointManager, "save"),
    (tf.saved_model, "save"),
    (keras.Model, "save"),
)
EXIT_CODE = 137  # a shell's for SIGKILL


def main(recipe, folder, last=None):
    names = []

    def counted(name, function):
        @functools.wraps(function)
        def call(*arguments, **keywords):
            names.append(name)
            if len(names) == last:
                os._exit(EXIT_CODE)
            return function(*arguments, **keywords)

        return call

    # What other processes do is tested elsewhere, and their writes would not be counted; so is what plots and pages show.
    run_module.fresh_process = this_process
    run_module.plot_process = plots_in_this_process
    report_module.contact_sheet = lambda experiment: None
    Figure.savefig = lambda figure, path, **options: pathlib.Path(path).touch()
    for owner, name in WRITES:
        setattr(owner, name, counted(name, getattr(owner, name)))
    cache = FeatureCache(folder / "cache")
    context = Context(feature_cache=cache, checkpoint_seconds=0.0, photos=False)
    with quick_graphs():
        run_module.run(Recipe.load(recipe), folder / "run", context=context)
    if last is None:
        (folder / "writes.txt").write_bytes("\n".join(names).encode())


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), *map(int, sys.argv[3:]))
