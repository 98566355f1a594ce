"""The average of the weights is validated and kept; training goes on with the weights as they are."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import assert_same_bits, classifier, hyperparameters, labelled_pixels, values

from tl_toolkit.errors import StoppedError
from tl_toolkit.strategies import FullFineTune
from tl_toolkit.training.loop import Schedule, train
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.step import TrainingStep
from tl_toolkit.training.weight_average import WeightAverage
from tl_toolkit.transfer.plan import (
    FIXED,
    FROZEN,
    TRAINED,
    UPDATED,
    apply_plan,
    fingerprints,
    make_plan,
    verify_plan,
)

EPOCHS, STEPS = 3, 2
DECAY = 0.25  # from the second step on: (1 + 1) / (10 + 1) is under it, (1 + 2) / (10 + 2) is not


def batches_from(epoch, step):
    return (labelled_pixels(4, seed=n) for n in range(STEPS * epoch + step, STEPS * EPOCHS))


class Run:
    """A training of everything, batch statistics included, with or without an average."""

    def __init__(self, ema=DECAY):
        self.model = classifier()
        self.plan = make_plan(self.model, FullFineTune(), "adapt")
        apply_plan(self.model, self.plan, bn_momentum=0.75)
        moving = set(self.plan.paths(TRAINED, UPDATED))
        self.moving = [v for v in self.model.variables if v.path in moving]
        self.optimizer = make_optimizer(
            self.model, hyperparameters(epochs=EPOCHS, steps_per_epoch=STEPS, learning_rate=0.05)
        )
        device = tf.distribute.get_strategy()
        average = WeightAverage(self.moving, ema, device) if ema else None
        self.step = TrainingStep(self.model, self.optimizer, 0.0, device, average=average)
        self.first = values(self.model)
        self.seen = []

    def start_again(self):
        for variable in self.model.variables:
            variable.assign(self.first[variable.path])
        self.step.start_again()
        self.seen = []
        return self

    def validate(self):
        self.seen.append(values(self.model))
        return {}, [[0.1, 0.9, 0.5][len(self.seen) - 1]]

    def train(self, folder=None, validate=True, batches=batches_from):
        return train(
            self.model,
            self.step,
            self.optimizer,
            self.moving,
            batches,
            Schedule(EPOCHS, STEPS, checkpoint_seconds=0.0),
            self.validate if validate else None,
            folder,
            {},
        )


def averaged(history, first):
    """The average after every step, by the formula."""
    averages, average = [], {path: value.astype(np.float64) for path, value in first.items()}
    for step, weights in enumerate(history):
        kept = min(DECAY, (1 + step) / (10 + step))
        average = {p: kept * value + (1 - kept) * weights[p] for p, value in average.items()}
        averages.append(average)
    return averages


@pytest.fixture(scope="module")
def shared():
    return Run()


@pytest.fixture(scope="module")
def without():
    """The weights after each step of the same training without an average."""
    run, history = Run(ema=None), []
    for batch in batches_from(0, 0):
        run.step(batch)
        history.append(values(run.model))
    return history


@pytest.fixture
def run(shared):
    return shared.start_again()


def assert_close(actual, expected):
    for path, value in actual.items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-5, atol=1e-6, err_msg=path)


@pytest.mark.slow
def test_validation_and_the_model_have_the_average_and_training_goes_on_without(run, without):
    progress = run.train()
    expected = averaged(without, run.first)
    assert progress.best_epoch == 1
    for seen, at in zip(run.seen, (1, 3, 5), strict=True):
        assert_close(seen, expected[at])
    assert_same_bits(values(run.model), run.seen[1])
    statistics = run.plan.paths(UPDATED)
    assert all(np.abs(run.seen[1][p] - without[3][p]).max() > 1e-4 for p in statistics)
    losses = [figures["loss"] for figures in progress.history]
    plain = Run(ema=None).train()
    assert losses == [figures["loss"] for figures in plain.history]


def test_without_validation_the_last_average_is_kept(run, without):
    run.train(validate=False)
    assert_close(values(run.model), averaged(without, run.first)[-1])


def test_the_weights_come_back_bit_for_bit_from_under_the_average(run):
    for batch in batches_from(0, 0):
        run.step(batch)
    before = values(run.model)

    def interrupted():
        with run.step.average.in_place():
            seen.append(values(run.model))
            raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert np.abs(seen[0]["predictions/bias"] - before["predictions/bias"]).max() > 1e-4
    assert_same_bits(values(run.model), before)


@pytest.mark.long
def test_a_run_that_is_stopped_after_any_step_ends_with_the_same_bits(run, tmp_path):
    progress = run.train()
    expected, state = values(run.model), [v.numpy() for v in run.step.state]

    for stop_after in range(1, STEPS * EPOCHS):

        def breaking(epoch, step, stop_after=stop_after):
            done = STEPS * epoch + step
            for batch in batches_from(epoch, step):
                if done == stop_after:
                    raise StoppedError("stopped")
                yield batch
                done += 1

        folder = tmp_path / str(stop_after)
        seen = run.start_again().seen
        with pytest.raises(StoppedError):
            run.train(folder, batches=breaking)
        seen = list(run.seen)
        run.start_again()
        for variable in [*run.moving, *run.step.state]:
            variable.assign(np.ones(variable.shape, variable.dtype))
        run.seen = seen
        resumed = run.train(folder)
        assert resumed.best_epoch == progress.best_epoch
        assert_same_bits(values(run.model), expected)
        for variable, value in zip(run.step.state, state, strict=True):
            assert variable.numpy().tobytes() == value.tobytes()


def test_the_average_of_weights_that_stay_is_these_weights_bit_for_bit():
    model = classifier()
    plan = make_plan(model, FullFineTune(), "frozen")
    apply_plan(model, plan)
    kept, before = fingerprints(model, plan), values(model)
    average = WeightAverage(model.trainable_variables, 0.999, tf.distribute.get_strategy())
    for _ in range(3):
        average.follow()
    average.give()
    assert_same_bits(values(model), before)
    assert verify_plan(model, plan, kept) == len(plan.paths(FROZEN, FIXED))


def test_the_first_steps_count_little_until_the_decay_is_reached():
    model = classifier()
    bias = model.get_layer("predictions").bias
    average = WeightAverage([bias], 0.2, tf.distribute.get_strategy())
    bias.assign([1.0, 1.0, 1.0])
    average.start_again()
    expected = 1.0
    for step, value in enumerate([3.0, -1.0, 4.0]):
        bias.assign([value] * 3)
        average.follow()
        kept = (0.1, 2 / 11, 0.2)[step]
        expected = kept * expected + (1 - kept) * value
    average.give()
    np.testing.assert_allclose(bias.numpy(), [expected] * 3, rtol=1e-6)
    assert expected == pytest.approx(3.2 + 0.2 * (-9 / 11 + 2 / 11 * 2.8))
