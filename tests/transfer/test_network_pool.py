"""A network that trainings leave to the next one gives what a network of one's own gives."""

import gc

import keras
import numpy as np
import pytest
from tensorflow.python.framework.func_graph import FuncGraph
from tiny import PIXELS, assert_same_bits, network, spec_of, values, write_safetensors

import tl_toolkit as tl
from tl_toolkit.experiments import prepare as preparation
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.training import step as step_module
from tl_toolkit.transfer import network as network_module
from tl_toolkit.transfer.network_pool import NetworkPool, TracedFunctions
from tl_toolkit.weights.pinned import PinnedWeights
from tl_toolkit.weights.resolve import open_weights


def from_scratch(recipe):
    """The recipe from random weights, on a network as small."""
    return recipe.replace(
        strategy=tl.FromScratch(),
        weights=None,
        backbone="resnet18",
        width=1,
        stem="cifar",
        image_size=8,
    )


RECIPES = {
    "head": {"batch_size": 16},
    "everything": {"strategy": tl.FullFineTune(), "learning_rate": 0.01},
    "head, smaller batch": {"batch_size": 8, "learning_rate": 0.03},
}


@pytest.mark.long
def test_trainings_in_turn_equal_trainings_alone_bit_for_bit(photo_recipe):
    pool = Context(networks=NetworkPool())
    models = set()
    for changes in RECIPES.values():
        recipe = photo_recipe.replace(epochs=1, **changes)
        alone = train_and_validate(recipe)
        in_turn = train_and_validate(recipe, pool)
        assert_same_bits(values(in_turn.model), values(alone.model))
        assert in_turn.progress.history == alone.progress.history
        assert in_turn.validation == alone.validation
        models.add(id(in_turn.model))
        keras.backend.clear_session()
    assert len(models) == 1


@pytest.mark.long
def test_the_graphs_of_earlier_trainings_are_let_go(photo_recipe):
    context, kept = Context(networks=NetworkPool()), []
    for _ in range(3):
        trained = train_and_validate(photo_recipe.replace(epochs=1), context)
        del trained
        keras.backend.clear_session()
        everything = gc.get_objects()
        graphs = sum(type(thing) is FuncGraph and thing.name == "step" for thing in everything)
        models = sum(issubclass(type(thing), keras.Model) for thing in everything)
        kept.append((graphs, models))
    # The optimizer's sum over replicas and the cut of the network would each keep one a training.
    for first, last in zip(kept[0], kept[2], strict=True):
        assert last <= first


def test_weights_mean_the_same_to_all_trainings_of_a_pool_whatever_each_prefers(photo_recipe):
    pool, named = NetworkPool(), photo_recipe.replace(weights="imagenet", backbone="resnet18")
    recipes = [named, named.replace(strategy=tl.FullFineTune(on="all_blocks"))]
    found = [pool.weights(recipe, None, lambda r=recipe: r.strategy.name) for recipe in recipes]
    assert found == ["new_head", "new_head"]
    pin = PinnedWeights("imagenet", "resnet18.tv_in1k", "0" * 64)
    for other in (named.replace(backbone="resnet34"), None), (named, pin):
        assert pool.weights(*other, lambda: "another") == "another"


def test_a_pools_trainings_start_from_what_the_first_of_them_opened(
    photo_recipe, tmp_path, monkeypatch
):
    files = {}
    for frozen, seed in ((True, 0), (False, 1)):
        path = tmp_path / f"{frozen}.safetensors"
        files[frozen] = write_safetensors(path, network(seed=seed), spec_of(preprocessing=PIXELS))

    def open_imagenet(name, backbone, frozen):
        return open_weights(files[frozen])

    monkeypatch.setattr(network_module, "open_weights", open_imagenet)
    recipe = photo_recipe.replace(weights="imagenet")
    everything = recipe.replace(strategy=tl.FullFineTune(on="all_blocks"))

    def started_from(recipe, context):
        return preparation.prepare(recipe, context).weights.sha256

    assert started_from(recipe, Context()) != started_from(everything, Context())
    shared = Context(networks=NetworkPool(2))
    assert started_from(recipe, shared) == started_from(everything, shared)


@pytest.mark.parametrize(
    ("strategy", "frozen"),
    [
        (tl.NewHead(), True),
        (tl.LastLayers(), True),
        (tl.Auto(), True),
        (tl.FullFineTune(), False),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_who_leaves_layers_frozen_asks_for_weights_that_suit_it(
    photo_recipe, monkeypatch, strategy, frozen
):
    asked = {}
    monkeypatch.setattr(network_module, "open_weights", lambda *_, **options: asked.update(options))
    network_module.open_recipe_weights(photo_recipe.replace(strategy=strategy))
    assert asked == {"frozen": frozen}


def test_weights_are_read_once_whatever_the_seed(photo_recipe, monkeypatch):
    opened = []
    open_weights = preparation.open_recipe_weights

    def counting(recipe, *rest):
        opened.append(recipe.seed)
        return open_weights(recipe, *rest)

    monkeypatch.setattr(preparation, "open_recipe_weights", counting)
    context = Context(networks=NetworkPool())
    for seed in (0, 0, 1, 2, 0):
        recipe = photo_recipe.replace(seed=seed)
        pooled = values(preparation.prepare(recipe, context).model)
        assert not pooled["predictions/kernel"].any()
        if seed:
            assert_same_bits(pooled, values(preparation.prepare(recipe).model))
    assert opened == [0, 1, 2]  # the last two by the networks that are not pooled


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe_of",
    [
        pytest.param(lambda r: r, id="head"),
        pytest.param(from_scratch, id="from scratch", marks=pytest.mark.long),
        pytest.param(
            lambda r: r.replace(strategy=tl.FullFineTune()), id="everything", marks=pytest.mark.long
        ),
    ],
)
def test_seeds_share_one_traced_step_and_give_what_they_give_alone(
    recipe_of, photo_recipe, monkeypatch
):
    made = []
    init = step_module.TrainingStep.__init__

    def counting(self, *arguments):
        made.append(self)
        init(self, *arguments)

    monkeypatch.setattr(step_module.TrainingStep, "__init__", counting)
    context, recipe = Context(networks=NetworkPool()), recipe_of(photo_recipe).replace(epochs=1)
    in_turn = {}
    for seed in (0, 1, 0):
        trained = train_and_validate(recipe.replace(seed=seed), context)
        in_turn.setdefault(seed, values(trained.model))
        assert_same_bits(values(trained.model), in_turn[seed])
    assert len(made) == 1
    assert not np.array_equal(in_turn[0]["predictions/kernel"], in_turn[1]["predictions/kernel"])
    assert_same_bits(values(train_and_validate(recipe.replace(seed=1)).model), in_turn[1])
    assert len(made) == 2


def test_traced_functions_are_let_go_when_others_come():
    traced, made = TracedFunctions(size=2), []
    for key in ("a", "b", "a", "c", "a", "b"):
        assert traced.get(key, lambda key=key: made.append(key) or key) == key
    assert made == ["a", "b", "c", "b"]


@pytest.mark.parametrize("field", [{"image_size": 24}, {"strategy": tl.NewHead(on="logits")}])
def test_another_network_is_not_mistaken_for_the_kept_one(photo_recipe, field):
    context = Context(networks=NetworkPool(size=5))
    first = preparation.prepare(photo_recipe, context)
    second = preparation.prepare(photo_recipe.replace(**field), context)
    assert second.model is not first.model
