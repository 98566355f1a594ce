"""However a run is stopped and resumed, it ends with the same bits."""

import contextlib
import dataclasses
import itertools
import os
import signal
import threading
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from families import long_after
from tiny import assert_same_bits, classifier, hyperparameters, labelled_pixels, with_dropout

from tl_toolkit.errors import InputError, PreemptedError, StoppedError
from tl_toolkit.strategies import FullFineTune
from tl_toolkit.training.loop import DivergedError, Schedule, train
from tl_toolkit.training.optimizers import make_optimizer
from tl_toolkit.training.step import TrainingStep
from tl_toolkit.transfer.plan import STATE, TRAINED, UPDATED, apply_plan, make_plan

EPOCHS, STEPS = 4, 3
SCORES = ([0.2, -1.0], [0.6, -0.5], [0.6, -0.7], [0.4, -0.1])  # the best is the second epoch's
IDENTITY = {"recipe": {"epochs": EPOCHS}, "data": ["a", "b"]}


def batches_from(epoch, step):
    """All batches of a run from a point of it on, the same whoever asks."""
    return (
        labelled_pixels(4, seed=STEPS * e + s)
        for e in range(EPOCHS)
        for s in range(STEPS)
        if (e, s) >= (epoch, step)
    )


def with_nan(at_epoch, at_step):
    """The same batches, but for pixels that are not numbers in one of them."""

    def from_there(epoch, step):
        position = STEPS * epoch + step
        for index, (images, *rest) in enumerate(batches_from(epoch, step), start=position):
            nan = index == STEPS * at_epoch + at_step
            yield (images * np.float32("nan") if nan else images, *rest)

    return from_there


class Run:
    """A training whose every kind of variable moves, with scripted validation scores."""

    def __init__(self):
        self.model = with_dropout(classifier())
        plan = make_plan(self.model, FullFineTune(), "adapt")
        apply_plan(self.model, plan)
        moving = set(plan.paths(TRAINED, UPDATED, STATE))
        self.moving = [v for v in self.model.variables if v.path in moving]
        self.optimizer = make_optimizer(
            self.model, hyperparameters(epochs=EPOCHS, steps_per_epoch=STEPS, learning_rate=0.05)
        )
        self.step = TrainingStep(self.model, self.optimizer, 0.0, tf.distribute.get_strategy())
        self._state = [*self.moving, *self.optimizer.variables]
        self._start = [variable.numpy() for variable in self._state]
        self.seen = []

    def start_again(self):
        """Back to the first step, as a new process would be."""
        for variable, value in zip(self._state, self._start, strict=True):
            variable.assign(value)
        self.seen = []

    def spoil(self):
        """Other values everywhere, so that what is not restored shows."""
        for variable in self._state:
            variable.assign(np.ones(variable.shape, variable.dtype))
        self.seen = []

    def validate(self):
        epoch = int(self.optimizer.iterations) // STEPS - 1
        self.seen.append(self.values())
        return {"val_top1": SCORES[epoch][0]}, list(SCORES[epoch])

    def values(self):
        """What training moved, in order: the names of seeds differ from model to model."""
        return {index: variable.numpy() for index, variable in enumerate(self.moving)}

    def train(self, folder=None, callbacks=(), **changes):
        arguments = {
            "batches_from": batches_from,
            "schedule": Schedule(EPOCHS, STEPS, checkpoint_seconds=0.0),
            "validate": self.validate,
            "identity": IDENTITY,
        }
        return train(
            self.model,
            self.step,
            self.optimizer,
            self.moving,
            folder=folder,
            callbacks=callbacks,
            **{**arguments, **changes},
        )


def without_time(progress):
    return dataclasses.replace(progress, seconds=0.0)


@pytest.fixture(scope="module")
def shared():
    return Run()


@pytest.fixture
def run(shared):
    """A run at its first step; built and traced once."""
    shared.start_again()
    shared.model.stop_training = False
    return shared


@pytest.fixture(scope="module")
def uninterrupted(shared):
    """The progress and the weights that every interrupted run has to end with."""
    shared.start_again()
    progress = shared.train()
    return without_time(progress), shared.values()


@pytest.fixture(autouse=True)
def _handler_is_restored():
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


class At(keras.callbacks.Callback):
    """Does something at one point of a run, once."""

    def __init__(self, hook, epoch, action, batch=None):
        super().__init__()
        self._epoch, self._wanted, self._action = None, (epoch, batch), action
        self._hook = hook

    def _reached(self, hook, batch=None):
        if hook == self._hook and (self._epoch, batch) == self._wanted:
            self._action(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._reached("epoch_begin")

    def on_train_batch_end(self, batch, logs=None):
        self._reached("batch_end", batch)

    def on_epoch_end(self, epoch, logs=None):
        self._reached("epoch_end")


def interrupt(model):
    os.kill(os.getpid(), signal.SIGINT)


def stop(model):
    model.stop_training = True


def crash(model):
    raise ConnectionError("the machine went away")


@pytest.mark.slow
@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "in a folder"])
def test_the_best_weights_are_restored(in_memory, run, tmp_path):
    progress = run.train(None if in_memory else tmp_path)
    assert (progress.best_epoch, progress.best_score) == (1, [0.6, -0.5])
    assert len(run.seen) == progress.epoch == EPOCHS
    assert_same_bits(run.values(), run.seen[1])
    for other in (0, 2, 3):
        assert any(np.any(run.seen[1][i] != run.seen[other][i]) for i in run.seen[1])


@pytest.mark.slow
def test_the_best_weights_are_those_of_the_checkpoint_that_was_resumed(run, tmp_path):
    """On a GPU what is trained again may come out otherwise, and then an epoch is no longer the best."""
    with pytest.raises(ConnectionError):
        run.train(tmp_path, [At("epoch_begin", 2, crash)])
    # As if the best epoch's end had not been written.
    for path in tmp_path.glob(f"ckpt-{2 * STEPS}.*"):
        path.unlink()
    first = run.seen[0]
    run.spoil()
    progress = run.train(tmp_path, validate=lambda: ({}, [0.1, -2.0]))
    assert (progress.best_epoch, progress.best_score) == (0, SCORES[0])
    assert_same_bits(run.values(), first)


def test_a_score_that_is_equal_does_not_replace_the_best(run):
    progress = run.train(validate=lambda: ({}, [0.5, -0.5]))
    assert (progress.best_epoch, progress.best_score) == (0, [0.5, -0.5])


@pytest.mark.slow
@pytest.mark.parametrize("start", [[0.6, -0.4], [0.6, -0.6]], ids=["better", "worse"])
def test_the_weights_that_training_begins_with_are_kept_where_no_epoch_is_better(
    start, run, tmp_path
):
    begun = run.values()
    schedule = Schedule(EPOCHS, STEPS, checkpoint_seconds=0.0, start_counts=True)

    def validate():
        at_start = int(run.optimizer.iterations) == 0
        return ({}, start) if at_start else run.validate()

    with pytest.raises(ConnectionError):
        run.train(tmp_path, [At("epoch_begin", 3, crash)], schedule=schedule, validate=validate)
    best = begun if start > SCORES[1] else run.seen[1]
    run.spoil()
    progress = run.train(tmp_path, schedule=schedule, validate=validate)
    expected = (-1, start) if start > SCORES[1] else (1, SCORES[1])
    assert (progress.best_epoch, progress.best_score) == expected
    assert_same_bits(run.values(), best)
    assert len(progress.history) == EPOCHS  # none of the start


def test_patience_counts_from_the_weights_that_training_begins_with(run):
    schedule = Schedule(EPOCHS, STEPS, patience=2, start_counts=True)
    progress = run.train(schedule=schedule, validate=lambda: ({}, [0.5, -0.5]))
    assert (progress.epoch, progress.best_epoch) == (2, -1)


def test_without_validation_the_last_weights_count(run):
    last = []
    record = At("epoch_end", EPOCHS - 1, lambda model: last.append(run.values()))
    progress = run.train(validate=None, callbacks=[record])
    assert (progress.best_epoch, progress.best_score) == (None, None)
    assert_same_bits(run.values(), last[0])


def test_what_is_not_to_move_is_left_alone(run):
    kept = [v for v in run.moving if v.name == "kernel"][:1]
    others = [v for v in run.moving if v is not kept[0]]
    after_validation = []

    def validate():
        after_validation.append(kept[0].numpy())
        return run.validate()

    train(
        run.model,
        run.step,
        run.optimizer,
        others,
        batches_from,
        Schedule(EPOCHS, STEPS),
        validate,
        None,
        IDENTITY,
    )
    np.testing.assert_array_equal(kept[0], after_validation[-1])
    assert np.any(after_validation[-1] != after_validation[1])


@pytest.mark.parametrize(
    ("scores", "patience", "epochs"),
    [
        ([4, 3, 2, 1], 1, 2),
        ([4, 3, 2, 1], 2, 3),
        ([4, 3, 2, 1], 3, 4),
        ([4, 3, 2, 1], 4, 4),
        ([4, 3, 2, 1], None, 4),
        ([1, 2, 1, 3], 1, 3),
        ([1, 2, 1, 3], 2, 4),
        ([1, 1, 1, 1], 2, 3),
    ],
    ids=str,
)
def test_patience_counts_epochs_without_a_better_validation(scores, patience, epochs, run):
    remaining = iter(scores)
    schedule = Schedule(EPOCHS, STEPS, patience)
    progress = run.train(validate=lambda: ({}, [next(remaining)]), schedule=schedule)
    assert progress.epoch == len(progress.history) == epochs
    assert int(run.optimizer.iterations) == epochs * STEPS
    assert progress.best_score == [max(scores[:epochs])]
    assert not progress.stopped


def test_patience_without_validation_is_of_no_account(run):
    progress = run.train(validate=None, schedule=Schedule(EPOCHS, STEPS, patience=1))
    assert progress.epoch == EPOCHS


class Recorder(keras.callbacks.Callback):
    """Every call in order."""

    def __init__(self):
        super().__init__()
        self.calls, self.logs = [], []

    def _record(self, name, logs, *position):
        self.calls.append((name, *position))
        self.logs.append(dict(logs))

    def on_train_begin(self, logs=None):
        self._record("train_begin", logs)

    def on_epoch_begin(self, epoch, logs=None):
        self._record("epoch_begin", logs, epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self._record("batch_begin", logs, batch)

    def on_train_batch_end(self, batch, logs=None):
        self._record("batch_end", logs, batch)

    def on_epoch_end(self, epoch, logs=None):
        self._record("epoch_end", logs, epoch)

    def on_train_end(self, logs=None):
        self._record("train_end", logs)


def test_callbacks_are_called_in_order_with_the_figures(run):
    recorder = Recorder()
    schedule = Schedule(2, STEPS)
    progress = run.train(callbacks=[recorder], schedule=schedule)
    expected = [("train_begin",)]
    for epoch in range(2):
        expected.append(("epoch_begin", epoch))
        for batch in range(STEPS):
            expected += [("batch_begin", batch), ("batch_end", batch)]
        expected.append(("epoch_end", epoch))
    assert recorder.calls == [*expected, ("train_end",)]
    assert recorder.model is run.model
    assert recorder.params == {"epochs": 2, "steps": STEPS, "verbose": 0}
    logs = dict(zip(recorder.calls, recorder.logs, strict=True))
    assert logs["train_begin",] == {"epochs_done": 0}
    assert logs["epoch_end", 1] == progress.history[1]


def test_the_history_holds_each_epochs_figures(run):
    losses = []

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])

    progress = run.train(callbacks=[Losses()])
    for epoch, figures in enumerate(progress.history):
        assert list(figures) == ["epoch", "loss", "top1", "val_top1", "learning_rate"]
        assert (figures["epoch"], figures["val_top1"]) == (epoch + 1, SCORES[epoch][0])
        of_epoch = losses[STEPS * epoch : STEPS * (epoch + 1)]
        assert figures["loss"] == pytest.approx(np.mean(of_epoch), rel=1e-5)
        assert figures["top1"] * 12 == pytest.approx(round(figures["top1"] * 12), abs=1e-4)
        cosine = 0.025 * (1 + np.cos(np.pi * (epoch + 1) / EPOCHS))
        assert figures["learning_rate"] == pytest.approx(cosine, abs=1e-7)
    assert progress.seconds > 0


@pytest.mark.parametrize(("hook", "batch"), [("batch_end", 0), ("epoch_end", None)])
def test_stop_training_ends_the_run_with_its_epoch(hook, batch, run, tmp_path):
    progress = run.train(tmp_path, [At(hook, 2, stop, batch)])
    assert (progress.epoch, progress.stopped, progress.best_epoch) == (3, True, 1)
    assert int(run.optimizer.iterations) == 3 * STEPS
    assert_same_bits(run.values(), run.seen[1])


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [True, False])
def test_a_run_that_is_over_is_not_resumed(stopped, run, tmp_path):
    first = run.train(tmp_path, [At("epoch_end", 2, stop)] if stopped else [])
    weights = run.values()
    run.spoil()
    again = run.train(tmp_path)
    assert again == first
    assert run.seen == []
    assert_same_bits(run.values(), weights)


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{"recipe": {"epochs": 5}}, {"data": ["b"], "recipe": {}}])
def test_the_checkpoint_of_another_run_is_refused(keys, run, tmp_path):
    run.train(tmp_path)
    run.spoil()
    before = run.values()
    with pytest.raises(InputError) as error:
        run.train(tmp_path, identity=IDENTITY | keys)
    differing = ", ".join(key for key in IDENTITY if key in keys)
    assert f"{str(tmp_path)!r} holds the checkpoint of another run: it differs in {differing}." in (
        str(error.value)
    )
    assert_same_bits(run.values(), before)


def test_the_checkpoint_of_another_network_is_refused_like_that_of_another_run(run, tmp_path):
    run.train(tmp_path, schedule=Schedule(1, STEPS))
    model = classifier(classes=5)
    other = keras.optimizers.SGD()
    other.build(model.trainable_variables)
    step = TrainingStep(model, other, 0.0, tf.distribute.get_strategy())
    before = {v.path: v.numpy() for v in model.variables}
    with pytest.raises(InputError, match="checkpoint of another run: it differs in recipe"):
        train(
            model,
            step,
            other,
            model.trainable_variables,
            batches_from,
            Schedule(1, STEPS),
            None,
            tmp_path,
            IDENTITY | {"recipe": {}},
        )
    assert_same_bits({v.path: v.numpy() for v in model.variables}, before)


def test_a_loss_that_is_no_number_at_the_first_step_is_blamed_on_the_weights(run):
    with pytest.raises(DivergedError) as error:
        run.train(batches_from=with_nan(0, 0))
    assert str(error.value).startswith("The loss is nan at step 1 (epoch 1), before anything was")
    assert "the weights hold numbers that are not finite" in str(error.value)


@pytest.mark.parametrize(("epoch", "step"), [(0, 1), (1, 0), (2, 2)])
def test_a_loss_that_is_no_number_later_is_blamed_on_the_learning_rate(epoch, step, run):
    where = rf"The loss is nan at step {STEPS * epoch + step + 1} \(epoch {epoch + 1}\)"
    cause = r"the learning rate is most likely too high\. Try a third of it"
    with pytest.raises(DivergedError, match=f"{where}: {cause}"):
        run.train(batches_from=with_nan(epoch, step))


def test_checkpoints_are_written_after_steps_as_often_as_asked(run, tmp_path):
    saved = []

    class Saved(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            saved.append({path.name for path in tmp_path.glob("*.index")})

    run.train(tmp_path, [Saved()])
    names = [f"ckpt-{step}.index" for step in range(EPOCHS * STEPS + 1)]
    assert saved == [set(), set(names[2:4]), set(names[5:7]), set(names[8:10])]
    assert {path.name for path in tmp_path.glob("*.index")} == set(names[11:13])

    saved.clear()
    run.start_again()
    rare = tmp_path / "rare"
    run.train(rare, schedule=Schedule(EPOCHS, STEPS, checkpoint_seconds=3600.0))
    assert [path.name for path in rare.glob("*.index")] == [names[12]]

    run.start_again()
    none = tmp_path / "none"
    run.train(
        none, schedule=Schedule(EPOCHS, STEPS, checkpoint_seconds=3600.0, checkpoint_at_end=False)
    )
    assert not list(none.glob("*.index"))


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 3600.0], ids=["checkpoint an epoch", "no checkpoint"])
@pytest.mark.parametrize(
    ("hook", "epoch", "batch"),
    long_after(
        2,
        [
            ("epoch_end", 2, None),
            ("batch_end", 2, 1),
            ("epoch_begin", 2, None),
            ("epoch_end", 1, None),
        ],
    ),
)
def test_a_run_that_broke_off_resumes_from_its_checkpoint(
    hook, epoch, batch, seconds, run, uninterrupted, tmp_path
):
    schedule = Schedule(EPOCHS, STEPS, checkpoint_seconds=seconds)
    with pytest.raises(ConnectionError, match="went away"):
        run.train(tmp_path, [At(hook, epoch, crash, batch)], schedule=schedule)
    if seconds:
        run.start_again()
    else:
        run.spoil()
    progress = run.train(tmp_path, schedule=schedule)
    # An epoch that broke off at its end is not in the checkpoint: it comes again.
    assert len(run.seen) == (EPOCHS if seconds else EPOCHS - epoch)
    assert without_time(progress) == uninterrupted[0]
    assert_same_bits(run.values(), uninterrupted[1])


@pytest.mark.parametrize(
    ("epoch", "batch", "where"),
    [
        (0, 0, "after step 1 of epoch 1"),
        (1, 1, "after step 2 of epoch 2"),
        (1, 2, "after step 3 of epoch 2"),
        (3, 2, "after step 3 of epoch 4"),
    ],
)
def test_ctrl_c_stops_after_the_step_and_the_run_ends_as_if_it_had_not_come(
    epoch, batch, where, run, uninterrupted, tmp_path
):
    # No checkpoint is due: the one that Ctrl-C writes is the only one.
    schedule = Schedule(EPOCHS, STEPS, checkpoint_seconds=3600.0)
    with pytest.raises(StoppedError, match=where):
        run.train(tmp_path, [At("batch_end", epoch, interrupt, batch)], schedule=schedule)
    assert int(run.optimizer.iterations) == STEPS * epoch + batch + 1
    run.spoil()
    progress = run.train(tmp_path, schedule=schedule)
    assert len(run.seen) == EPOCHS - epoch
    assert without_time(progress) == uninterrupted[0]
    assert_same_bits(run.values(), uninterrupted[1])


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_during_validation_stops_after_the_epoch(epoch, run, uninterrupted, tmp_path):
    def validate():
        if int(run.optimizer.iterations) == STEPS * (epoch + 1):
            interrupt(run.model)
        return run.validate()

    schedule = Schedule(EPOCHS, STEPS, checkpoint_seconds=3600.0)
    with pytest.raises(StoppedError, match=f"after epoch {epoch + 1}"):
        run.train(tmp_path, validate=validate, schedule=schedule)
    assert int(run.optimizer.iterations) == STEPS * (epoch + 1)
    run.spoil()
    progress = run.train(tmp_path, schedule=schedule)
    assert len(run.seen) == EPOCHS - 1 - epoch
    assert without_time(progress) == uninterrupted[0]
    assert_same_bits(run.values(), uninterrupted[1])


@pytest.mark.slow
def test_a_run_that_is_stopped_at_every_step_ends_as_if_it_had_not_been(
    run, uninterrupted, tmp_path
):
    stops = 0
    while True:
        try:
            callbacks = [
                At("batch_end", epoch, interrupt, batch)
                for epoch in range(EPOCHS)
                for batch in range(STEPS)
            ]
            progress = run.train(tmp_path, callbacks)
            break
        except StoppedError:
            stops += 1
            run.spoil()
    assert stops == EPOCHS * STEPS
    assert without_time(progress) == uninterrupted[0]
    assert_same_bits(run.values(), uninterrupted[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "epoch", [0, *(pytest.param(later, marks=pytest.mark.long) for later in range(1, EPOCHS))]
)
@pytest.mark.parametrize("batch", long_after(1, range(STEPS)))
def test_a_run_that_broke_off_in_any_step_resumes_from_the_step_before(
    epoch, batch, run, uninterrupted, tmp_path
):
    with pytest.raises(ConnectionError):
        run.train(tmp_path, [At("batch_end", epoch, crash, batch)])
    if (epoch, batch) == (0, 0):  # nothing was kept yet
        run.start_again()
    else:
        run.spoil()
    begun = []
    first = At("batch_end", epoch, lambda model: begun.append(int(run.optimizer.iterations)), batch)
    progress = run.train(tmp_path, [first])
    assert begun == [STEPS * epoch + batch + 1]
    assert len(run.seen) == EPOCHS - epoch
    assert without_time(progress) == uninterrupted[0]
    assert_same_bits(run.values(), uninterrupted[1])


def test_sigterm_stops_after_the_step_and_says_that_it_was_not_ctrl_c(run, uninterrupted, tmp_path):
    def terminate(model):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # schedulers repeat themselves

    before = signal.getsignal(signal.SIGTERM)
    schedule = Schedule(EPOCHS, STEPS, checkpoint_seconds=3600.0)
    with pytest.raises(PreemptedError, match="after step 2 of epoch 2; the same call resumes"):
        run.train(tmp_path, [At("batch_end", 1, terminate, 1)], schedule=schedule)
    assert signal.getsignal(signal.SIGTERM) is before
    run.spoil()
    assert without_time(run.train(tmp_path, schedule=schedule)) == uninterrupted[0]
    assert_same_bits(run.values(), uninterrupted[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "left"),
    long_after(
        2,
        [
            ("index", 0),
            ("data-00000-of-00001", 0.5),
            ("index", 0.5),
            ("data-00000-of-00001", 0),
        ],
    ),
)
def test_a_truncated_checkpoint_makes_way_for_the_one_before(
    part, left, run, uninterrupted, tmp_path
):
    with pytest.raises(ConnectionError):
        run.train(tmp_path, [At("batch_end", 2, crash, 1)])
    path = tmp_path / f"ckpt-{2 * STEPS + 1}.{part}"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole))])
    run.spoil()
    progress = run.train(tmp_path)
    note = (
        f"the checkpoint 'ckpt-{2 * STEPS + 1}' could not be read: resumed from the one before it"
    )
    assert progress.notes == [note]
    assert without_time(dataclasses.replace(progress, notes=[])) == uninterrupted[0]
    assert_same_bits(run.values(), uninterrupted[1])


def test_checkpoints_none_of_which_can_be_read_are_an_error_and_are_left_alone(run, tmp_path):
    with pytest.raises(ConnectionError):
        run.train(tmp_path, [At("batch_end", 2, crash, 1)])
    for path in tmp_path.glob("*.index"):
        path.write_bytes(b"")
    before = run.values()
    with pytest.raises(InputError, match=r"No checkpoint in .* can be read"):
        run.train(tmp_path)
    assert_same_bits(run.values(), before)


@pytest.mark.slow
def test_another_model_resumes_where_the_first_was_stopped(run, uninterrupted, tmp_path):
    with pytest.raises(StoppedError):
        run.train(tmp_path, [At("batch_end", 1, interrupt, 0)])
    other = Run()
    other.spoil()
    progress = other.train(tmp_path)
    assert without_time(progress) == uninterrupted[0]
    assert_same_bits(other.values(), uninterrupted[1])


@pytest.mark.slow
def test_time_counts_over_all_starts(run, tmp_path, monkeypatch):
    clock = itertools.count()  # a second from one look at it to the next
    monkeypatch.setattr(
        "tl_toolkit.training.loop.time", types.SimpleNamespace(monotonic=lambda: next(clock))
    )
    with pytest.raises(StoppedError):
        run.train(tmp_path, [At("batch_end", 1, interrupt, 1)])
    run.spoil()
    # One second for each step, and one for the end of each epoch.
    assert run.train(tmp_path).seconds == EPOCHS * (STEPS + 1)


def test_a_second_ctrl_c_interrupts_at_once(run, tmp_path):
    def twice(model):
        interrupt(model)
        interrupt(model)

    with pytest.raises(KeyboardInterrupt):
        run.train(tmp_path, [At("batch_end", 1, twice, 0)])
    assert int(run.optimizer.iterations) == STEPS + 1
    kept = {path.name for path in tmp_path.glob("*.index")}
    assert kept == {"ckpt-2.index", "ckpt-3.index"}


@pytest.mark.parametrize(
    ("action", "error"),
    [(interrupt, StoppedError), (crash, ConnectionError), (stop, None)],
    ids=["Ctrl-C", "an error", "a callback"],
)
def test_the_handler_of_ctrl_c_is_restored_however_a_run_ends(action, error, run, tmp_path):
    def mine(signum, frame):
        raise AssertionError("the run's handler should have this one")

    before = signal.signal(signal.SIGINT, mine)
    try:
        with pytest.raises(error) if error else contextlib.nullcontext():
            run.train(tmp_path, [At("batch_end", 0, action, 0)])
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_in_another_thread_leaves_ctrl_c_alone(run, uninterrupted):
    results = []
    handler = signal.getsignal(signal.SIGINT)
    during = []
    look = At("epoch_begin", 1, lambda model: during.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=lambda: results.append(run.train(callbacks=[look])))
    thread.start()
    thread.join()
    assert during == [handler]
    assert without_time(results[0]) == uninterrupted[0]
    assert_same_bits(run.values(), uninterrupted[1])
