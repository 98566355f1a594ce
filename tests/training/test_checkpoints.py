"""A checkpoint brings back every bit that training moved, and the plain values beside it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from tiny import classifier, hyperparameters, labelled_pixels, randomise, with_dropout

from tl_toolkit.strategies import FullFineTune
from tl_toolkit.training.checkpoints import Checkpoints
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.step import TrainingStep
from tl_toolkit.transfer.plan import apply_plan, make_plan


def make_run(seed, optimizer="adamw"):
    """A model with every kind of variable, its optimizer and its step."""
    model = with_dropout(classifier(seed=seed))
    apply_plan(model, make_plan(model, FullFineTune(), "adapt"))
    made = make_optimizer(model, hyperparameters(optimizer=optimizer, learning_rate=0.01))
    return model, made, TrainingStep(model, made, 0.0, tf.distribute.get_strategy())


def state_of(run):
    model, optimizer, _ = run
    return [*model.variables, *optimizer.variables]


def bits(variables):
    return [variable.numpy().tobytes() for variable in variables]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", long_after(1, ["adamw", "sgd"]))
def test_every_kind_of_variable_comes_back_bit_for_bit(optimizer, tmp_path):
    run = make_run(seed=1, optimizer=optimizer)
    fresh = bits(state_of(run))
    for seed in range(3):
        run[2](labelled_pixels(seed=seed))
    state = state_of(run)
    kinds = {"seed_generator_state", "moving_mean", "gamma", "kernel", "iteration"}
    assert kinds <= {variable.name for variable in state}
    saved = bits(state)
    assert all(now != before for now, before in zip(saved, fresh, strict=True))
    Checkpoints(tmp_path, state).save({}, 3)

    other = make_run(seed=2, optimizer=optimizer)
    other[2](labelled_pixels(seed=9))
    assert bits(state_of(other)) != saved
    assert Checkpoints(tmp_path, state_of(other)).restore() == {}
    assert bits(state_of(other)) == saved
    # Dropout included: its masks follow from the seed state.
    assert other[2](labelled_pixels(seed=4)) == run[2](labelled_pixels(seed=4))
    assert bits(state_of(other)) == bits(state)


@pytest.fixture
def variable():
    return keras.Variable(np.zeros(3, np.float32), name="v")


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"epoch": 3, "best_score": [0.5, -0.25], "best_epoch": None, "stopped": False},
        {"history": [{"loss": 0.1 + 0.2, "top1": 1e-300}], "identity": {"data": "Füße 足"}},
    ],
    ids=str,
)
def test_plain_values_come_back_as_they_were(plain, variable, tmp_path):
    checkpoints = Checkpoints(tmp_path, [variable])
    checkpoints.save(plain, 1)
    assert Checkpoints(tmp_path, [variable]).read_plain() == plain
    assert Checkpoints(tmp_path, [variable]).restore() == plain
    assert checkpoints.restore() == plain


def test_reading_plain_values_restores_nothing(variable, tmp_path):
    checkpoints = Checkpoints(tmp_path, [variable])
    checkpoints.save({"epoch": 1}, 1)
    variable.assign([1, 2, 3])
    assert checkpoints.read_plain() == {"epoch": 1}
    np.testing.assert_array_equal(variable, [1, 2, 3])
    checkpoints.restore()
    np.testing.assert_array_equal(variable, [0, 0, 0])


def test_an_empty_folder_restores_nothing(variable, tmp_path):
    variable.assign([1, 2, 3])
    checkpoints = Checkpoints(tmp_path / "none", [variable])
    assert checkpoints.read_plain() is None
    assert checkpoints.restore() is None
    np.testing.assert_array_equal(variable, [1, 2, 3])


@pytest.mark.parametrize("numbers_saved", [[1, 2, 3], [3, 10, 200], [5, 6, 4]], ids=str)
@pytest.mark.parametrize("keep", [1, 2])
def test_the_newest_wins_and_as_many_as_asked_are_kept(keep, numbers_saved, variable, tmp_path):
    checkpoints = Checkpoints(tmp_path, [variable], keep=keep)
    for number in numbers_saved:
        variable.assign([number] * 3)
        checkpoints.save({"number": number}, number)
    kept = {path.name for path in tmp_path.glob("*.index")}
    assert kept == {f"ckpt-{number}.index" for number in numbers_saved[-keep:]}
    again = keras.Variable(np.zeros(3, np.float32), name="again")
    assert Checkpoints(tmp_path, [again]).restore() == {"number": numbers_saved[-1]}
    np.testing.assert_array_equal(again, [numbers_saved[-1]] * 3)


@pytest.mark.parametrize("keep", [1, 2])
def test_a_number_that_is_saved_again_replaces_the_one_before(keep, variable, tmp_path):
    Checkpoints(tmp_path, [variable], keep=keep).save({"try": 1}, 7)
    variable.assign([7, 7, 7])
    Checkpoints(tmp_path, [variable], keep=keep).save({"try": 2}, 7)
    variable.assign([0, 0, 0])
    assert Checkpoints(tmp_path, [variable], keep=keep).restore() == {"try": 2}
    np.testing.assert_array_equal(variable, [7, 7, 7])


@pytest.mark.parametrize(
    "contents", [None, b"", b"\0" * 40, b"\xff" * 9, b'model_checkpoint_path: "ckpt-']
)
def test_checkpoints_are_found_without_their_list(contents, variable, tmp_path):
    checkpoints = Checkpoints(tmp_path, [variable])
    for number in (9, 10):
        variable.assign([number] * 3)
        checkpoints.save({"number": number}, number)
    listed = tmp_path / "checkpoint"
    listed.unlink()
    if contents is not None:
        listed.write_bytes(contents)
    again = keras.Variable(np.zeros(3, np.float32), name="again")
    checkpoints = Checkpoints(tmp_path, [again])
    assert checkpoints.restore() == {"number": 10}
    np.testing.assert_array_equal(again, [10] * 3)
    checkpoints.save({"number": 11}, 11)
    assert Checkpoints(tmp_path, [again]).restore() == {"number": 11}


def test_what_was_saved_last_is_restored_though_the_variables_moved_on(tmp_path):
    model = classifier(seed=1)
    checkpoints = Checkpoints(tmp_path, model.variables)
    saved = bits(model.variables)
    checkpoints.save({}, 1)
    randomise(model, seed=2)
    assert bits(model.variables) != saved
    checkpoints.restore()
    assert bits(model.variables) == saved
