"""Axes: what is refused before anything is trained, and what recipe a point is."""

import keras_tuner
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tl_toolkit as tl
from tl_toolkit.tuning.space import default_batch_sizes, make_space, parse_axes

HEAD = tl.Recipe(data="digits", strategy=tl.NewHead(), weights="digits")


def test_batch_size_and_learning_rate_are_searched_in_any_case():
    space = make_space(HEAD, None, examples=100)
    hp = keras_tuner.HyperParameters()
    space.declare(hp)
    assert space.choices == {"batch_size": (8, 16, 32)}
    assert set(hp.values) == {"batch_size", "learning_rate"}
    rate = next(p for p in hp.space if p.name == "learning_rate")
    assert (rate.min_value, rate.max_value) == pytest.approx((1e-3, 1e-1))
    assert rate.sampling == "log"
    assert hp.values["learning_rate"] == pytest.approx(1e-2)


@pytest.mark.parametrize(
    ("examples", "replicas", "sizes"),
    [(16, 1, (8,)), (5, 1, (2,)), (1000, 1, (8, 16, 32, 64, 128, 256)), (100, 4, (8, 16, 32))],
)
def test_default_batch_sizes(examples, replicas, sizes):
    assert default_batch_sizes(examples, replicas) == sizes


@given(st.integers(2, 10_000), st.sampled_from([1, 2, 4, 8]))
def test_default_batch_sizes_can_always_be_served(examples, replicas):
    if examples < 2 * replicas:
        with pytest.raises(tl.InputError, match="No power of two"):
            default_batch_sizes(examples, replicas)
        return
    sizes = default_batch_sizes(examples, replicas)
    make_space(HEAD, {"batch_size": list(sizes)}, examples, replicas)


@pytest.mark.parametrize(
    ("batch_size", "optimizer", "rate"),
    [(32, "adamw", 0.01), (8, "adamw", 0.005), (128, "adamw", 0.02), (8, "sgd", 0.0025)],
)
def test_the_learning_rate_is_scaled_to_the_batch(batch_size, optimizer, rate):
    space = make_space(HEAD.replace(optimizer=optimizer), None, examples=1000)
    recipe = space.recipe_at({"batch_size": batch_size, "learning_rate": 0.01})
    assert recipe.batch_size == batch_size
    assert recipe.learning_rate == pytest.approx(rate, rel=1e-3)


def test_where_the_network_ends_is_an_axis_of_solved_heads_too():
    head = HEAD.replace(strategy=tl.NewHead(solver="lbfgs"))
    space = make_space(head, {"last_stage": ["conv4", "conv5"]}, examples=100)
    assert space.axes == ("last_stage",)
    assert space.recipe_at({"last_stage": "conv4"}) == head.replace(last_stage="conv4")


def test_options_belong_to_the_strategies_that_have_them():
    axes = {
        "strategy": ["new-head", "last_layers", "full_fine_tune"],
        "trainable_from": ["conv4", "conv5"],
        "bn_mode": ["affine", "frozen"],
    }
    space = make_space(HEAD, axes, examples=100)
    hp = keras_tuner.HyperParameters()
    for name, expected, default_rate in (
        ("new_head", set(), 1e-2),
        ("last_layers", {"trainable_from", "bn_mode"}, 3e-4),
        ("full_fine_tune", {"bn_mode"}, 1e-3),
    ):
        hp = keras_tuner.HyperParameters()
        hp.values["strategy"] = name
        space.declare(hp)
        active = {p.name for p in hp.space if hp.is_active(p)}
        assert active - {"strategy", "batch_size", "learning_rate"} == expected
        rates = [p for p in hp.space if p.name == "learning_rate" and hp.is_active(p)]
        assert [p.default for p in rates] == pytest.approx([default_rate])
        recipe = space.recipe_at({p: v for p, v in hp.values.items() if p in active})
        assert recipe.strategy.name == name
    assert recipe.strategy == tl.FullFineTune(bn_mode="affine")


def test_the_default_range_of_rates_is_about_that_of_the_recipes_own_options():
    gentle = HEAD.replace(strategy=tl.FullFineTune(head_first=True, bn_mode="affine"))
    hp = keras_tuner.HyperParameters()
    make_space(gentle, None, examples=100).declare(hp)
    (rates,) = (p for p in hp.space if p.name == "learning_rate")
    assert (rates.min_value, rates.max_value) == pytest.approx((3e-6, 3e-4))
    hp = keras_tuner.HyperParameters()
    axes = {"bn_mode": ["adapt", "affine"]}
    make_space(gentle, axes, examples=100).declare(hp)
    (rates,) = (p for p in hp.space if p.name == "learning_rate")
    assert (rates.min_value, rates.max_value) == pytest.approx((3e-6, 1e-2))
    axes = {"strategy": ["last_layers", "full_fine_tune"], "bn_mode": ["affine"]}
    own = HEAD.replace(strategy=tl.LastLayers(head_first=False))
    space = make_space(own, axes, examples=100)
    assert not space.recipe_at({"strategy": "full_fine_tune"}).strategy.head_first


def test_another_strategys_head_sits_where_the_recipes_does():
    space = make_space(
        HEAD.replace(strategy=tl.NewHead(on="logits")), {"strategy": ["last_layers"]}, examples=100
    )
    assert space.recipe_at({"strategy": "last_layers"}).strategy == tl.LastLayers(on="logits")


def test_the_recipes_own_options_stay():
    recipe = HEAD.replace(strategy=tl.LastLayers("conv4", on="logits"))
    space = make_space(recipe, {"bn_mode": ["frozen"], "views": [1, 2]}, examples=100)
    drawn = space.recipe_at({"bn_mode": "frozen", "views": 2, "batch_size": 8})
    assert drawn.strategy == tl.LastLayers("conv4", on="logits", bn_mode="frozen")
    assert (drawn.views, drawn.batch_size) == (2, 8)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"batchsize": [8]}, "batch_size"),
        ({"batch_size": [8, 200]}, "Batches of 200 images cannot be made of 100 training images"),
        ({"batch_size": [8, 9]}, "all 2 replicas together, which do not divide 9.*nearest.*8"),
        ({"batch_size": [True]}, "whole number"),
        ({"batch_size": []}, "list of different values"),
        ({"batch_size": [8, 8]}, "list of different values"),
        ({"learning_rate": (1e-2, 1e-3)}, "the smaller first"),
        ({"weight_decay": (0.0, 1e-3)}, "two numbers over 0"),
        ({"learning_rate": [-1.0]}, "learning_rate"),
        ({"augmentation": ["foto"]}, "photo"),
        ({"strategy": ["head"]}, "new_head"),
        ({"trainable_from": ["conv5"]}, "No strategy of this search has an option"),
        ({"views": [0]}, "`views` must be at least 1"),
    ],
)
def test_what_cannot_be_searched_is_refused(axes, message):
    with pytest.raises(tl.InputError, match=message):
        make_space(HEAD, axes, examples=100, replicas=2)


def test_axes_of_a_command_line():
    texts = ["batch-size=8,16", "learning_rate=1e-4..0.1", "augmentation=photo,none", "views=2"]
    assert parse_axes(texts) == {
        "batch_size": [8, 16],
        "learning_rate": (1e-4, 0.1),
        "augmentation": ["photo", "none"],
        "views": [2],
    }


@pytest.mark.parametrize("texts", [["batch_size"], ["views=1", "views=2"], ["8,16"]])
def test_axes_that_are_none(texts):
    with pytest.raises(tl.InputError, match="NAME=VALUE,VALUE or NAME=SMALLEST"):
        parse_axes(texts)


@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False)), min_size=1))
def test_written_numbers_are_read_as_they_were(values):
    assert parse_axes([f"views={','.join(map(repr, values))}"]) == {"views": values}


SOLVED = HEAD.replace(strategy=tl.NewHead(solver="lbfgs"), batch_size=None, learning_rate=None)


def test_heads_that_are_solved_for_are_searched_without_batches_and_rates():
    axes = {"on": ["features", "all_blocks"], "augmentation": ["none", "light"]}
    space = make_space(SOLVED, axes, examples=100)
    assert space.axes == ("on", "augmentation")
    drawn = space.recipe_at({"on": "all_blocks", "augmentation": "light"})
    assert drawn.strategy == tl.NewHead(on="all_blocks", solver="lbfgs")
    assert (drawn.solver, drawn.augmentation, drawn.learning_rate) == ("lbfgs", "light", None)
    hp = keras_tuner.HyperParameters()
    space.declare(hp)
    assert set(hp.values) == {"on", "augmentation"}


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (None, "neither batch size nor learning rate"),
        ({"on": ["features", "logits"], "strategy": ["new_head", "last_layers"]}, "no `strategy`"),
        ({"learning_rate": (1e-3, 1e-2)}, "`learning_rate` is for training by steps"),
        ({"epochs": [2, 3]}, "`epochs` is for training by steps"),
        (
            {"trainable_from": ["conv3"]},
            "No strategy of this search has an option `trainable_from`",
        ),
    ],
)
def test_what_only_steps_have_is_no_axis_of_heads_that_are_solved_for(axes, message):
    with pytest.raises(tl.InputError, match=message):
        make_space(SOLVED, axes, examples=100)


def test_where_the_head_sits_is_an_axis_of_every_transfer():
    names = ["new_head", "last_layers", "full_fine_tune"]
    space = make_space(HEAD, {"strategy": names, "on": ["all_blocks"]}, examples=100)
    assert space.strategies_with("on") == names
    for name in names:
        drawn = space.recipe_at({"strategy": name, "on": "all_blocks"}).strategy
        assert (drawn.name, drawn.on) == (name, "all_blocks")


@pytest.mark.parametrize("axes", [None, {"strategy": ["new_head", "auto"]}])
def test_a_strategy_that_chooses_between_trainings_is_refused(axes):
    recipe = HEAD if axes else HEAD.replace(strategy="auto")
    with pytest.raises(tl.InputError, match="'auto' chooses between trainings"):
        make_space(recipe, axes, examples=100)


@pytest.mark.parametrize("axis", ["strategy", "trainable_from"])
def test_rates_by_name_are_refused_where_what_is_trained_varies(axis):
    recipe = HEAD.replace(strategy=tl.FullFineTune(), layer_rates={"stem": 0.1})
    axes = {"strategy": ["last_layers", "full_fine_tune"], "trainable_from": ["conv4", "conv5"]}
    with pytest.raises(tl.InputError, match="`layer_rates` names stages"):
        make_space(recipe, {axis: axes[axis]}, examples=100)


@pytest.mark.parametrize("own", ["last_layers", "full_fine_tune"])
def test_each_strategy_keeps_its_own_default_of_solving_for_the_head_first(own):
    axes = {"strategy": ["last_layers", "full_fine_tune"]}
    space = make_space(HEAD.replace(strategy=own), axes, examples=100)
    drawn = {"batch_size": 8, "learning_rate": 0.01}
    for name, strategy in (("last_layers", tl.LastLayers()), ("full_fine_tune", tl.FullFineTune())):
        assert space.recipe_at({"strategy": name, **drawn}).strategy == strategy
    asked = make_space(HEAD.replace(strategy=tl.LastLayers(head_first=False)), axes, examples=100)
    assert not asked.recipe_at({"strategy": "full_fine_tune", **drawn}).strategy.head_first
    chosen = make_space(HEAD.replace(strategy=tl.FullFineTune(head_first=True)), axes, examples=100)
    assert chosen.recipe_at({"strategy": "last_layers", **drawn}).strategy.head_first


@pytest.mark.parametrize(
    ("strategy", "names", "axis", "values", "message"),
    [
        (tl.LastLayers(), ["last_layers", "new_head"], "tta", ["flip", "none"], "tta 'flip'"),
        (tl.LastLayers(), ["last_layers", "new_head"], "on", ["all_block"], "on 'all_block'"),
        (tl.NewHead(), ["new_head", "full_fine_tune"], "bn_mode", ["adaptt"], "bn_mode 'adaptt'"),
    ],
)
def test_an_option_is_checked_for_the_strategies_that_have_it(
    strategy, names, axis, values, message
):
    with pytest.raises(tl.InputError, match=message):
        make_space(HEAD.replace(strategy=strategy), {"strategy": names, axis: values}, examples=100)
