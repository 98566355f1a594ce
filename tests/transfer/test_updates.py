"""Every trained variable is changed by one rule: its rate, its decay, and when it begins."""

import types

import hypothesis
import hypothesis.strategies as st
import pytest
from tiny import TINY, classifier, hyperparameters

from tl_toolkit.catalog import Architecture
from tl_toolkit.errors import InputError
from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.strategies import FullFineTune, LastLayers, NewHead
from tl_toolkit.transfer.plan import TRAINED, apply_plan, make_plan
from tl_toolkit.transfer.updates import Update, plan_updates, rates_by_stage

DEEPER = Architecture("basic", (2, 3), width=4, stem="cifar")
GROUPS = ["stem", "conv2_block1", "conv2_block2", "conv3_block1", "conv3_block2", "conv3_block3"]


@pytest.fixture(scope="module")
def deeper():
    model = classifier(DEEPER)
    apply_plan(model, make_plan(model, FullFineTune(), "affine"))
    return model


def rates(model, **fields):
    found = {}
    for path, update in plan_updates(model, hyperparameters(**fields)).items():
        layer = path.partition("/")[0]
        group = next((g for g in GROUPS if layer.startswith(f"{g}_")), None)
        group = group or ("head" if layer == "predictions" else "stem")
        assert update.group == group
        assert found.setdefault(group, update.rate) == update.rate
    return found


def test_all_are_changed_alike_where_nothing_else_is_asked(deeper):
    updates = plan_updates(deeper, hyperparameters(weight_decay=0.5))
    assert set(updates) == {v.path for v in deeper.trainable_variables}
    assert all(update.is_usual for update in updates.values())
    decayed = {path for path, update in updates.items() if update.weight_decay == 0.5}
    assert decayed == {path for path in updates if path.endswith("/kernel")}
    assert {u.weight_decay for path, u in updates.items() if path not in decayed} == {0.0}


def test_layer_decay_counts_the_blocks_between_a_variable_and_the_head(deeper):
    assert rates(deeper, layer_decay=0.5) == {
        "head": 1,
        "conv3_block3": 0.5,
        "conv3_block2": 0.25,
        "conv3_block1": 0.125,
        "conv2_block2": 0.0625,
        "conv2_block1": 0.03125,
        "stem": 0.015625,
    }


def test_a_block_has_the_same_rate_however_many_below_it_are_frozen(deeper):
    model = classifier(DEEPER)
    apply_plan(model, make_plan(model, LastLayers("conv3_block2"), "affine"))
    expected = {"head": 1, "conv3_block3": 0.5, "conv3_block2": 0.25}
    assert rates(model, layer_decay=0.5) == expected
    assert rates(deeper, layer_decay=0.5).items() >= expected.items()


def test_the_most_specific_name_wins_and_layer_decay_holds_for_the_rest(deeper):
    named = (("conv3", 0.75), ("conv3_block2", 2.0), ("head", 3.0))
    assert rates(deeper, layer_rates=named, layer_decay=0.5) == {
        "head": 3.0,
        "conv3_block3": 0.75,
        "conv3_block2": 2.0,
        "conv3_block1": 0.75,
        "conv2_block2": 0.0625,
        "conv2_block1": 0.03125,
        "stem": 0.015625,
    }
    alone = rates(deeper, layer_rates=named)
    assert (alone["stem"], alone["conv2_block1"], alone["conv3_block2"]) == (1, 1, 2)


def test_rates_are_summed_up_by_stage(deeper):
    updates = plan_updates(deeper, hyperparameters(layer_decay=0.5))
    assert rates_by_stage(updates) == {
        "stem": (0.015625, 0.015625),
        "conv2": (0.03125, 0.0625),
        "conv3": (0.125, 0.5),
        "head": (1, 1),
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("conv4", r"'conv4'\. Did you mean 'conv3'"),
        ("conv3_block4", r"Did you mean 'conv3_block\d"),
        ("predictions", r"Known: conv2, conv2_block1, .*, head, stem"),
        ("", "Known"),
    ],
)
def test_a_rate_of_nothing_is_refused(deeper, name, message):
    with pytest.raises(InputError, match=f"trained stage or block in `layer_rates`: .*{message}"):
        plan_updates(deeper, hyperparameters(layer_rates=((name, 0.5),)))


def test_a_rate_of_what_is_frozen_is_refused():
    model = classifier(TINY)
    apply_plan(model, make_plan(model, LastLayers("conv3"), "affine"))
    with pytest.raises(InputError, match=r"'conv2'.*Known: conv3, conv3_block1, head\."):
        plan_updates(model, hyperparameters(layer_rates=(("conv2", 0.5),)))
    apply_plan(model, make_plan(model, NewHead(), "frozen"))
    with pytest.raises(InputError, match=r"'conv3'.*Known: head\."):
        plan_updates(model, hyperparameters(layer_rates=(("conv3", 0.5),)))


@pytest.mark.parametrize("on", ["features", "logits", "all_blocks"])
def test_l2_sp_holds_the_kernels_that_came_with_the_weights(on):
    model = classifier(TINY, on=on, original_classes=5 if on == "logits" else 0)
    apply_plan(model, make_plan(model, FullFineTune(on=on), "affine"))
    updates = plan_updates(model, hyperparameters(l2_sp=0.25, weight_decay=0.5))
    head = {
        "features": "predictions",
        "logits": "new_predictions",
        "all_blocks": "block_predictions",
    }
    kernels = {path for path in updates if path.endswith("/kernel")} - {f"{head[on]}/kernel"}
    assert {path for path, update in updates.items() if update.l2_sp} == kernels
    assert len(kernels) == 6 + (on == "logits")
    assert {(updates[k].l2_sp, updates[k].weight_decay) for k in kernels} == {(0.25, 0.0)}
    decayed = {path for path, update in updates.items() if update.weight_decay}
    assert decayed == {f"{head[on]}/kernel"}  # what is new has nothing to be held to
    scales = [
        v.path
        for layer in model.layers
        if isinstance(layer, BatchNormalization)
        for v in layer.trainable_variables
    ]
    assert len(scales) == 12
    assert {updates[path].l2_sp for path in scales} == {0.0}


def test_stages_join_the_training_from_the_head_down(deeper):
    fields = {"epochs": 7, "steps_per_epoch": 5, "unfreeze_epochs": 2}
    first = {
        u.group: u.first_step for u in plan_updates(deeper, hyperparameters(**fields)).values()
    }
    assert first == {
        "head": 0,
        **dict.fromkeys(GROUPS[3:], 10),
        **dict.fromkeys(GROUPS[1:3], 20),
        "stem": 30,
    }


def test_a_stage_that_would_never_be_trained_is_refused(deeper):
    plan_updates(deeper, hyperparameters(epochs=7, unfreeze_epochs=2))
    with pytest.raises(InputError, match=r"'stem' would join the training after 6 epochs.* has 6"):
        plan_updates(deeper, hyperparameters(epochs=6, unfreeze_epochs=2))


@hypothesis.given(
    decay=st.none() | st.floats(0.01, 1),
    named=st.dictionaries(st.sampled_from([*GROUPS, "conv2", "conv3", "head"]), st.floats(0.01, 9)),
)
def test_each_trained_variable_has_one_rate_which_is_named_or_follows_from_its_depth(
    deeper, decay, named
):
    plan = make_plan(deeper, FullFineTune(), "affine")
    fields = {"layer_decay": decay, "layer_rates": tuple(sorted(named.items()))}
    updates = plan_updates(deeper, hyperparameters(**fields))
    assert list(updates) == plan.paths(TRAINED)
    for update in updates.values():
        depth = 0 if update.group == "head" else len(GROUPS) - GROUPS.index(update.group)
        stage = update.group.partition("_")[0]
        expected = named.get(update.group, named.get(stage, (decay or 1.0) ** depth))
        assert update.rate == expected
        assert update.is_usual == (expected == 1)


@pytest.mark.parametrize(
    ("update", "usual"),
    [
        (Update("head", weight_decay=0.1), True),
        (Update("head", rate=0.5), False),
        (Update("head", first_step=1), False),
        (Update("head", l2_sp=0.1), False),
    ],
)
def test_what_every_optimizer_does(update, usual):
    assert update.is_usual == usual


def test_a_trained_variable_that_no_rule_covers_or_two_do_is_an_error(deeper):
    def like(layers, trained):
        return types.SimpleNamespace(
            layers=layers, trainable_variables=trained, get_layer=deeper.get_layer
        )

    trained = deeper.trainable_variables
    plan_updates(like(deeper.layers, trained), hyperparameters())
    without = [layer for layer in deeper.layers if layer.name != "conv1_conv"]
    with pytest.raises(RuntimeError, match=r"updated once: \['conv1_conv/kernel'\]"):
        plan_updates(like(without, trained), hyperparameters())
    twice = [deeper.get_layer("conv1_conv"), *deeper.layers]
    with pytest.raises(RuntimeError, match="Two trained variables are called 'conv1_conv/kernel'"):
        plan_updates(like(twice, trained), hyperparameters())
