"""Training from stored activations is training from images: the same weights, the same figures."""

import json

import numpy as np
import pytest
from tiny import assert_same_bits, values

import tl_toolkit as tl
from tl_toolkit import experiment as walk
from tl_toolkit.experiments.train_and_validate import Context, evaluate, prepare, train_and_validate
from tl_toolkit.training import precision
from tl_toolkit.transfer.feature_cache import FeatureCache


@pytest.fixture
def context(tmp_path):
    return Context(feature_cache=FeatureCache(tmp_path / "features"))


def trained_weights(trained):
    model, plan = trained.model, trained.experiment.plan
    moved = set(plan.paths("trained"))
    return {path: value for path, value in values(model).items() if path in moved}


def assert_close(actual, expected, tolerance):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        difference = np.abs(actual[name] - value).max()
        assert difference <= tolerance * max(np.abs(value).max(), 1e-3), name


@pytest.mark.parametrize(("views", "optimizer"), [(1, "sgd"), (3, "adamw")])
def test_a_new_head_ends_with_the_same_weights(views, optimizer, photo_recipe, context):
    recipe = photo_recipe.replace(views=views, epochs=5, optimizer=optimizer, learning_rate=0.02)
    cached = train_and_validate(recipe, context)
    uncached = train_and_validate(recipe.replace(cache=False))
    assert_close(trained_weights(cached), trained_weights(uncached), 1e-5)
    for ours, theirs in zip(cached.progress.history, uncached.progress.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)
        assert ours["val_top1"] == theirs["val_top1"]
    split = cached.experiment.dataset.test
    assert (
        evaluate(cached.experiment, split)["top1"] == evaluate(uncached.experiment, split)["top1"]
    )
    assert cached.verified == uncached.verified > 0


def test_last_layers_take_the_same_step(photo_recipe, context):
    recipe = photo_recipe.replace(
        strategy=tl.LastLayers("conv3"), epochs=1, batch_size=64, views=1, optimizer="sgd"
    )
    before = trained_weights_of_start(recipe)
    cached = trained_weights(train_and_validate(recipe, context))
    uncached = trained_weights(train_and_validate(recipe.replace(cache=False)))
    steps = {name: uncached[name] - before[name] for name in before}
    assert max(np.abs(step).max() for step in steps.values()) > 1e-3
    assert_close({n: cached[n] - before[n] for n in before}, steps, 1e-4)


def trained_weights_of_start(recipe):
    experiment = prepare(recipe)
    moved = set(experiment.plan.paths("trained"))
    return {path: value for path, value in values(experiment.model).items() if path in moved}


def test_the_frozen_part_runs_once_over_every_view(photo_recipe, context, monkeypatch):
    made = []
    real = walk.cached_batches

    def counting(*arguments, **options):
        cached = real(*arguments, **options)
        made.append((len(cached.train.entries), cached.cut.layer))
        return cached

    monkeypatch.setattr(walk, "cached_batches", counting)
    train_and_validate(photo_recipe.replace(epochs=2, views=2), context)
    train_and_validate(photo_recipe.replace(epochs=2, augmentation="none"), context)
    train_and_validate(photo_recipe.replace(epochs=1, strategy=tl.FullFineTune()), context)
    assert made == [(2, "avg_pool"), (1, "avg_pool")]


@pytest.mark.slow
def test_bfloat16_is_stored_as_such_and_learned_from(photo_recipe, context, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("flags\t: avx512_bf16\n")
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    recipe = photo_recipe.replace(epochs=6, views=1)
    expected = train_and_validate(recipe, context)
    found = train_and_validate(recipe.replace(precision="auto"), context)
    assert found.experiment.precision == "bfloat16"
    assert found.validation["top1"] == expected.validation["top1"] == 1
    for ours, theirs in zip(found.progress.history, expected.progress.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=0.02)
    manifests = [
        json.loads(path.read_text()) for path in context.feature_cache.place.glob("*/*.json")
    ]
    assert {manifest["storage"] for manifest in manifests} == {"float32", "bfloat16"}
    assert {len(manifest["graph options"]) for manifest in manifests} == {0, 1}


def test_without_room_it_streams_and_says_so(photo_recipe, tmp_path):
    context = Context(feature_cache=FeatureCache(tmp_path / "features", limit=100))
    recipe = photo_recipe.replace(epochs=2, views=1)
    trained = train_and_validate(recipe, context)
    assert any("computed in every epoch: the features need" in n for n in trained.experiment.notes)
    assert_same_bits(
        trained_weights(trained), trained_weights(train_and_validate(recipe.replace(cache=False)))
    )


def test_class_weights_and_sampling_reach_the_cached_batches(photo_recipe, context):
    for balance in ("weights", "sampling"):
        recipe = photo_recipe.replace(epochs=2, views=1, class_balance=balance, optimizer="sgd")
        cached = train_and_validate(recipe, context)
        uncached = train_and_validate(recipe.replace(cache=False))
        assert_close(trained_weights(cached), trained_weights(uncached), 1e-5)
