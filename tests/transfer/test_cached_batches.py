"""Training from stored activations is training from images: the same weights, the same figures."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from tiny import BOTTLENECK, PIXELS, assert_same_bits, classifier, values

import tl_toolkit as tl
from tl_toolkit.catalog import AUGMENTATIONS
from tl_toolkit.data.dataset import ArrayImages, ImageDataset, Split
from tl_toolkit.data.pipeline import training_batches
from tl_toolkit.errors import InputError
from tl_toolkit.experiments import batch_source
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import evaluate
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.training import precision
from tl_toolkit.transfer.cached_batches import cache_features
from tl_toolkit.transfer.feature_cache import FeatureCache
from tl_toolkit.transfer.network_pool import NetworkPool


@pytest.fixture(scope="module")
def networks():
    return NetworkPool(size=2)


@pytest.fixture
def context(tmp_path, networks):
    """Trainings take the same network in turn: what one made is to be read before the next one starts."""
    return Context(feature_cache=FeatureCache(tmp_path / "features"), networks=networks)


def trained_weights(trained):
    model, plan = trained.model, trained.experiment.plan
    moved = set(plan.paths("trained"))
    return {path: value for path, value in values(model).items() if path in moved}


def assert_close(actual, expected, tolerance, least=1e-3):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        difference = np.abs(actual[name] - value).max()
        assert difference <= tolerance * max(np.abs(value).max(), least), name


@pytest.mark.long
def test_a_new_head_ends_with_the_same_weights(photo_recipe, context):
    recipe = photo_recipe.replace(views=3, epochs=5, optimizer="adamw", learning_rate=0.02)
    found = []
    for cache in (True, False):
        trained = train_and_validate(recipe.replace(cache=cache), context)
        top1 = evaluate(trained.experiment, trained.experiment.dataset.test)["top1"]
        found.append((trained, trained_weights(trained), top1))
    (cached, weights, top1), (uncached, expected, expected_top1) = found
    assert_close(weights, expected, 1e-5)
    for ours, theirs in zip(cached.progress.history, uncached.progress.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)
        assert ours["val_top1"] == theirs["val_top1"]
    assert top1 == expected_top1
    assert cached.verified == uncached.verified > 0


@pytest.mark.long
@pytest.mark.parametrize("on", ["features", "all_blocks"])
def test_last_layers_take_the_same_step(photo_recipe, context, on):
    strategy = tl.LastLayers("conv3", on=on)
    recipe = photo_recipe.replace(
        strategy=strategy, epochs=1, batch_size=64, views=1, optimizer="sgd"
    )
    before = trained_weights_of_start(recipe, context)
    cached = trained_weights(train_and_validate(recipe, context))
    uncached = trained_weights(train_and_validate(recipe.replace(cache=False), context))
    steps = {name: uncached[name] - before[name] for name in before}
    assert max(np.abs(step).max() for step in steps.values()) > 1e-3
    # A step of 0.003 on a weight of about 1 is rounded by up to 1e-7 already.
    assert_close({n: cached[n] - before[n] for n in before}, steps, 1e-4, least=3e-3)


def trained_weights_of_start(recipe, context):
    experiment = prepare(recipe, context)
    moved = set(experiment.plan.paths("trained"))
    return {path: value for path, value in values(experiment.model).items() if path in moved}


class EndAtOnce(keras.callbacks.Callback):
    """Ends a training before its first step is traced."""

    def on_train_begin(self, logs=None):
        raise KeyboardInterrupt


@pytest.mark.slow
def test_the_frozen_layers_run_once_over_every_view(photo_recipe, context, monkeypatch):
    made = []
    cache_features = batch_source.cache_features

    def counting(*arguments, **options):
        made.append(cache_features(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(batch_source, "cache_features", counting)
    train_and_validate(photo_recipe.replace(epochs=2, views=2), context)
    train_and_validate(photo_recipe.replace(epochs=2, augmentation="none"), context)
    everything = photo_recipe.replace(epochs=1, strategy=tl.FullFineTune())
    with pytest.raises(KeyboardInterrupt):
        train_and_validate(everything, dataclasses.replace(context, callbacks=(EndAtOnce(),)))
    assert [(len(m.train.entries), m.cut.layer) for m in made] == [(2, "avg_pool"), (1, "avg_pool")]
    # When a run ends, however it ends, its features may make way, whoever still refers to them.
    assert not list(context.feature_cache.place.glob("*.lease*"))
    with pytest.raises(InputError, match="most likely too high"):
        train_and_validate(photo_recipe.replace(learning_rate=1e30, optimizer="sgd"), context)
    assert len(made) == 3
    assert not list(context.feature_cache.place.glob("*.lease*"))


@pytest.mark.long
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
    for manifest in manifests:
        is_switched = any("bfloat16" in name for name in manifest["graph options"])
        assert is_switched == (manifest["storage"] == "bfloat16")


@pytest.mark.slow
def test_what_a_head_on_all_blocks_sees_is_stored_in_float32(
    photo_recipe, context, tmp_path, monkeypatch
):
    (tmp_path / "cpuinfo").write_text("flags\t: avx512_bf16\n")
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    stopped = dataclasses.replace(context, callbacks=(EndAtOnce(),))
    storage = {}
    for on in ("features", "all_blocks"):
        strategy = tl.LastLayers("conv3", on=on, head_first=False)
        recipe = photo_recipe.replace(strategy=strategy, precision="auto", epochs=1, views=1)
        with pytest.raises(KeyboardInterrupt):
            train_and_validate(recipe, stopped)
        found = {json.loads(p.read_text())["storage"] for p in tmp_path.rglob("manifest.json")}
        storage[on] = found - storage.get("features", set())
    assert storage == {"features": {"bfloat16"}, "all_blocks": {"float32"}}


@pytest.mark.long
def test_without_room_it_streams_and_says_so(photo_recipe, context):
    tight = dataclasses.replace(
        context, feature_cache=dataclasses.replace(context.feature_cache, limit=100)
    )
    recipe = photo_recipe.replace(epochs=1, views=1)
    trained = train_and_validate(recipe, tight)
    (note,) = [n for n in trained.experiment.notes if "computed again in every epoch" in n]
    assert "the features need 0.00 GB, and the cache's limit is 0.00 GB" in note
    weights = trained_weights(trained)
    streamed = train_and_validate(recipe.replace(cache=False), context)
    assert_same_bits(weights, trained_weights(streamed))


@pytest.mark.parametrize("balanced", [False, True])
def test_batches_are_those_of_the_images(balanced, tmp_path):
    model, rng = classifier(BOTTLENECK), np.random.default_rng(0)
    images = ArrayImages(rng.integers(0, 256, (11, 20, 24, 3), np.uint8))
    split = Split.of(images, np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]))
    dataset = ImageDataset("photos", tuple("abc"), split, split.take(np.arange(5)), None)
    cached = cache_features(
        model,
        "conv2_block1_out",
        dataset,
        PIXELS,
        AUGMENTATIONS["photo"],
        seed=3,
        views=2,
        storage="float32",
        cache=FeatureCache(tmp_path),
    )
    weights = np.array([1, 2, 3], np.float32)
    batches = {"batch_size": 4, "epochs": 3, "seed": 3, "balanced": balanced}
    expected = training_batches(
        split, PIXELS, AUGMENTATIONS["photo"], class_weights=weights, views=2, **batches
    )
    count = 0
    for ours, theirs in zip(
        cached.training_batches(split, weights, **batches), expected, strict=True
    ):
        activations = cached.cut.frozen(theirs[0], training=False).numpy()
        assert np.abs(ours[0] - activations).max() <= 1e-5 * np.abs(activations).max()
        assert np.array_equal(ours[1], theirs[1])
        assert np.array_equal(ours[2], weights[theirs[1]])
        count += len(ours[1])
    assert count == 3 * (15 if balanced else 11)
    sizes = [len(labels) for _, labels in cached.validation_batches(dataset.validation, 4)]
    assert sizes == [4, 1]
