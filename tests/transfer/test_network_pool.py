"""A network that trainings leave to the next one gives what a network of one's own gives."""

import gc

import keras
import pytest
from tensorflow.python.framework.func_graph import FuncGraph
from tiny import assert_same_bits, values

import tl_toolkit as tl
from tl_toolkit import preparation
from tl_toolkit.experiments.train_and_validate import Context, train_and_validate
from tl_toolkit.transfer.network_pool import NetworkPool

RECIPES = {
    "head": {"batch_size": 16},
    "everything": {"strategy": tl.FullFineTune(), "learning_rate": 0.01},
    "head, smaller batch": {"batch_size": 8, "learning_rate": 0.03},
}


@pytest.mark.slow
def test_trainings_in_turn_equal_trainings_alone_bit_for_bit(photo_recipe):
    pool = Context(networks=NetworkPool())
    models = set()
    for changes in RECIPES.values():
        recipe = photo_recipe.replace(epochs=2, **changes)
        alone = train_and_validate(recipe)
        in_turn = train_and_validate(recipe, pool)
        assert_same_bits(values(in_turn.model), values(alone.model))
        assert in_turn.progress.history == alone.progress.history
        assert in_turn.validation == alone.validation
        models.add(id(in_turn.model))
        keras.backend.clear_session()
    assert len(models) == 1


@pytest.mark.slow
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


def test_weights_are_read_once_and_again_for_another_seed(photo_recipe, monkeypatch):
    opened = []
    open_weights = preparation.open_recipe_weights
    monkeypatch.setattr(
        preparation,
        "open_recipe_weights",
        lambda recipe: opened.append(recipe.seed) or open_weights(recipe),
    )
    context = Context(networks=NetworkPool(size=2))
    for seed in (0, 0, 1, 0, 1, 2, 1, 0):
        preparation.prepare(photo_recipe.replace(seed=seed), context)
    assert opened == [0, 1, 2, 0]


@pytest.mark.parametrize("field", [{"image_size": 24}, {"strategy": tl.NewHead(on="logits")}])
def test_another_network_is_not_mistaken_for_the_kept_one(photo_recipe, field):
    context = Context(networks=NetworkPool(size=5))
    first = preparation.prepare(photo_recipe, context)
    second = preparation.prepare(photo_recipe.replace(**field), context)
    assert second.model is not first.model
