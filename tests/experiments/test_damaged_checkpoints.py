"""A stopped run of which any file is damaged says so, or resumes and ends as one that was not."""

import os
import random
import shutil
import signal

import keras
import pytest
from damage import FEW, KINDS, damage, files_of, randoms
from hypothesis import given
from tiny import assert_same_bits, values

import tl_toolkit as tl
from tl_toolkit.errors import StoppedError
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.pin_file import read_pin
from tl_toolkit.experiments.run_folder import partial_folder
from tl_toolkit.experiments.train_and_validate import train_and_validate


class Stop(keras.callbacks.Callback):
    """Ctrl-C in the middle of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def stopped(photo_recipe, tmp_path_factory):
    """A recipe, the folder of its stopped run, and what its training gives undisturbed."""
    recipe = photo_recipe.replace(epochs=3, views=1)
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(StoppedError):
        tl.run(recipe, folder, context=Context(callbacks=(Stop(),), checkpoint_seconds=0))
    whole = train_and_validate(recipe)
    return recipe, partial_folder(folder), (values(whole.model), whole.progress.history)


def resumed(recipe, folder, tmp_path):
    """What the training gives from a copy of the checkpoints: weights, history and notes."""
    shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)
    shutil.copytree(folder / "checkpoints", tmp_path / "checkpoints")
    trained = train_and_validate(recipe, Context(checkpoints=tmp_path / "checkpoints"))
    return (values(trained.model), trained.progress.history), trained.progress.notes


def survive(stopped, kind, where, tmp_path):
    recipe, folder, (weights, history) = stopped
    names = [name for name in files_of(folder) if name.startswith("checkpoints/")]
    assert len(names) == 6  # TensorFlow's list, two checkpoints of two files, the weights' pin
    newest = max(names, key=lambda name: int(f"0{name.partition('ckpt-')[2].partition('.')[0]}"))
    for name in names:
        with damage(folder / name, kind, where):
            refused = name.endswith(".weights.json") and pin_is_damaged(folder / name)
            if refused:
                with pytest.raises(tl.InputError, match=r"recipe\.weights\.json' is damaged"):
                    resumed(recipe, folder, tmp_path)
                continue
            (again, history_again), notes = resumed(recipe, folder, tmp_path)
        assert_same_bits(again, weights)
        assert history_again == history
        if name.partition(".")[0] == newest.partition(".")[0] and kind != "changed":
            assert any("could not be read: resumed from the one before" in n for n in notes), name


def pin_is_damaged(path):
    try:
        return read_pin(path.with_name("recipe.json")) is None
    except tl.InputError:
        return True


@pytest.mark.long
@pytest.mark.slow  # six short trainings
def test_checkpoints_that_are_cut_are_survived(stopped, tmp_path):
    survive(stopped, "cut", random.Random(4), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(where=randoms)
def test_every_damage_to_checkpoints_is_survived(stopped, kind, where, tmp_path):
    survive(stopped, kind, where, tmp_path)
