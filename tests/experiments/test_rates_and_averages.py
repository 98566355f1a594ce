"""Rates by layer, L2-SP and averaged weights from the recipe to the trained model, resumed and repeated."""

import dataclasses

import keras
import numpy as np
import pytest
from tiny import assert_same_bits, values

import tl_toolkit as tl
from tl_toolkit.errors import StoppedError
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import evaluate
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.report import describe_updates
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.training.step import TrainingStep
from tl_toolkit.transfer.network_pool import NetworkPool

HELD = {
    "layer_decay": 0.5,
    "layer_rates": {"stem": 0.25},
    "l2_sp": 0.5,
    "ema": 0.5,
}


@pytest.fixture
def recipe(photo_recipe):
    return photo_recipe.replace(
        strategy=tl.FullFineTune(bn_mode="adapt"),
        epochs=2,
        learning_rate=0.01,
        batch_size=16,
        validation_fraction=0.4,
        **HELD,
    )


def without_time(progress):
    return dataclasses.replace(progress, seconds=0.0)


@pytest.mark.long
def test_a_run_that_broke_off_in_an_epoch_ends_with_the_same_bits(recipe, tmp_path, monkeypatch):
    pool = NetworkPool()
    whole = train_and_validate(recipe, Context(networks=pool))
    expected, call, taken = values(whole.model), TrainingStep.__call__, []
    assert whole.experiment.hyperparameters.steps_per_epoch == 2

    def breaking(self, batch, stop=()):
        if len(taken) == 3:
            raise StoppedError("stopped")
        taken.append(1)
        return call(self, batch, stop)

    broken = Context(checkpoints=tmp_path, checkpoint_seconds=0.0, networks=pool)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", breaking)
        with pytest.raises(StoppedError):
            train_and_validate(recipe, broken)
    # A network of its own, as in another process.
    resumed = train_and_validate(recipe, dataclasses.replace(broken, networks=None))
    assert_same_bits(values(resumed.model), expected)
    assert without_time(resumed.progress) == without_time(whole.progress)
    assert resumed.validation == whole.validation


@pytest.mark.long
def test_a_training_that_takes_the_step_of_another_does_what_it_would_alone(recipe):
    shared = Context(networks=NetworkPool())
    alone = values(train_and_validate(recipe, shared).model)
    other = values(train_and_validate(recipe.replace(seed=1), shared).model)
    assert np.abs(other["predictions/kernel"] - alone["predictions/kernel"]).max() > 1e-4
    assert_same_bits(values(train_and_validate(recipe, shared).model), alone)


@pytest.mark.long
def test_the_model_has_the_average_that_was_validated(recipe):
    trained = train_and_validate(recipe)
    best = trained.progress.history[trained.progress.best_epoch]
    again = evaluate(trained.experiment, trained.experiment.dataset.validation)
    assert again["log_loss"] == trained.validation["log_loss"] == best["val_loss"]
    raw = train_and_validate(recipe.replace(ema=None))
    assert [f["loss"] for f in raw.progress.history] == [
        f["loss"] for f in trained.progress.history
    ]
    assert raw.progress.history[0]["val_loss"] != trained.progress.history[0]["val_loss"]


@pytest.mark.long
def test_l2_sp_keeps_the_backbone_near_its_weights(recipe):
    first = values(prepare(recipe).model)
    free, held = (
        values(train_and_validate(recipe.replace(ema=None, l2_sp=strength)).model)
        for strength in (None, 50.0)
    )
    kernels = [path for path in first if path.endswith("_conv/kernel")]
    assert len(kernels) == 6
    for path in kernels:
        distances = [np.linalg.norm(after[path] - first[path]) for after in (held, free)]
        assert 0 < distances[0] < distances[1]


def test_stages_are_described_by_their_rates(recipe):
    assert describe_updates(prepare(recipe)) == (
        "fractions of the learning rate: stem 0.25, conv2 0.25, conv3 0.5, head 1; "
        "L2-SP 0.5 in place of the backbone's weight decay; moving average of the weights, decay 0.5"
    )
    usual = recipe.replace(**dict.fromkeys(HELD))
    assert describe_updates(prepare(usual)) == ""
    gradual = usual.replace(strategy=tl.FullFineTune(), unfreeze_epochs=1, epochs=4)
    assert describe_updates(prepare(gradual)) == "one more stage every epoch, from the head down"


@pytest.mark.long
def test_stages_that_have_not_joined_yet_stay_bit_for_bit(recipe):
    gradual = recipe.replace(
        strategy=tl.FullFineTune(), **dict.fromkeys(HELD), unfreeze_epochs=2, epochs=7
    )
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(values(self.model))

    trained = train_and_validate(gradual, Context(callbacks=(Watch(),)))
    assert trained.experiment.hyperparameters.bn_mode == "affine"
    before = values(prepare(gradual).model)
    for epoch, now in enumerate(seen):
        moved = {
            path.partition("/")[0] for path in now if now[path].tobytes() != before[path].tobytes()
        }
        stages = {name.partition("_")[0].replace("predictions", "head") for name in moved}
        assert stages == set(["head", "conv3", "conv2", "conv1"][: epoch // 2 + 1])
        before = now


def test_a_rate_of_nothing_is_refused_before_anything_is_trained(recipe):
    with pytest.raises(tl.InputError, match=r"'conv4'. Did you mean"):
        prepare(recipe.replace(layer_rates={"conv4": 0.5}))
    with pytest.raises(
        tl.InputError, match=r"'stem' would join the training after 3 epochs, and it has 2"
    ):
        prepare(recipe.replace(strategy=tl.FullFineTune(), unfreeze_epochs=1))
