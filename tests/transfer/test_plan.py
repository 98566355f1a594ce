"""The freeze plan names every variable once, Keras trains what it says, and a breach is found."""

import dataclasses
import json

import numpy as np
import pytest
from tiny import BOTTLENECK, TINY, classifier, values, with_dropout

from tl_toolkit.catalog import BN_MODES, Architecture
from tl_toolkit.errors import InputError
from tl_toolkit.models.batch_norm import BatchNormalization
from tl_toolkit.strategies import FromScratch, FullFineTune, LastLayers, NewHead
from tl_toolkit.transfer.plan import (
    FIXED,
    FROZEN,
    STATE,
    TRAINED,
    UPDATED,
    apply_plan,
    fingerprints,
    make_plan,
    verify_plan,
)

STAGES = Architecture("basic", (2, 2, 2), width=2, stem="cifar")
BLOCKS = STAGES.block_names
# Kernels, then γ and β; convolutions of 3x3, projections of 1x1.
KERNELS = {
    "conv1": 27 * 2,
    "conv2_block1": 2 * 36,
    "conv2_block2": 2 * 36,
    "conv3_block1": 72 + 144 + 8,
    "conv3_block2": 2 * 144,
    "conv4_block1": 288 + 576 + 32,
    "conv4_block2": 2 * 576,
}
SCALES = {
    "conv1": 4,
    "conv2_block1": 8,
    "conv2_block2": 8,
    "conv3_block1": 24,
    "conv3_block2": 16,
    "conv4_block1": 48,
    "conv4_block2": 32,
}
HEAD = {"features": 8 * 3 + 3, "logits": 5 * 3 + 3}
ORIGINAL_HEAD = 8 * 5 + 5  # frozen or trained with the tail, where the new head is on the logits

# The strategy, and the first part of the body that it trains.
STARTS = [
    (FullFineTune(), "conv1"),
    (FromScratch(), "conv1"),
    (LastLayers("conv2"), "conv2_block1"),
    (LastLayers("conv3"), "conv3_block1"),
    (LastLayers("conv3_block2"), "conv3_block2"),
    (LastLayers("conv4_block1"), "conv4_block1"),
    (NewHead(), None),
]
CASES = [
    (dataclasses.replace(strategy, **({"on": on} if on == "logits" else {})), start, on)
    for strategy, start in STARTS
    for on in HEAD
    if on == "features" or not isinstance(strategy, FromScratch)
]


@pytest.fixture(scope="module")
def models():
    return {on: classifier(STAGES, on=on, original_classes=5) for on in HEAD}


@pytest.fixture
def model(models):
    return models["features"]


def trained_parts(start):
    parts = list(KERNELS)
    return parts[parts.index(start) :] if start else []


def part_of(path):
    return next((part for part in KERNELS if path.startswith(f"{part}_")), "head")


def expected_role(path, trained, bn_mode, head):
    layer, _, name = path.partition("/")
    is_trained = layer == head or part_of(path) in trained or (part_of(path) == "head" and trained)
    if not layer.endswith("_bn"):
        return TRAINED if is_trained else FROZEN
    mode = bn_mode if is_trained else "frozen"
    if name.startswith("moving_"):
        return UPDATED if mode == "adapt" else FIXED
    return FROZEN if mode == "frozen" else TRAINED


@pytest.mark.parametrize("bn_mode", BN_MODES)
@pytest.mark.parametrize(("strategy", "start", "on"), CASES, ids=str)
def test_every_variable_has_one_role_and_keras_trains_what_the_plan_says(
    strategy, start, on, bn_mode, models
):
    model = models[on]
    plan = make_plan(model, strategy, bn_mode)
    head = "predictions" if on == "features" else "new_predictions"
    trained = trained_parts(start)
    expected = {
        variable.path: expected_role(variable.path, trained, bn_mode, head)
        for variable in model.variables
    }
    assert plan.roles == expected
    assert len(plan.roles) == len(model.variables)
    assert sorted(plan.paths(TRAINED, FROZEN, UPDATED, FIXED)) == sorted(values(model))

    scales = 0 if bn_mode == "frozen" else sum(SCALES[part] for part in trained)
    total = HEAD[on] + sum(KERNELS[part] for part in trained) + scales
    if on == "logits" and trained:
        total += ORIGINAL_HEAD
    assert plan.trained_parameters == total

    apply_plan(model, plan)
    assert {v.path for v in model.trainable_variables} == set(plan.paths(TRAINED))
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == total
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            mode = bn_mode if part_of(layer.name) in trained else "frozen"
            assert (plan.bn_modes[layer.name], layer.effective_mode) == (mode, mode)


def test_the_stages_add_up_the_plan(model):
    plan = make_plan(model, LastLayers("conv3_block2"), "adapt")
    rows = [(s.stage, s.trained, s.frozen, s.bn_modes) for s in plan.stages]
    assert rows == [
        ("stem", 0, 58, ("frozen",)),
        ("conv2", 0, 160, ("frozen",)),
        ("conv3", 304, 248, ("adapt", "frozen")),
        ("conv4", 2128, 0, ("adapt",)),
        ("head", 27, 0, ()),
    ]
    assert plan.trained_parameters == 304 + 2128 + 27


def test_the_stages_of_a_head_on_the_logits_hold_both_dense_layers(models):
    for strategy, head in ((NewHead(on="logits"), (18, 45)), (LastLayers("conv4"), (63, 0))):
        stage = make_plan(models["logits"], strategy, "affine").stages[-1]
        assert (stage.stage, stage.trained, stage.frozen) == ("head", *head)


def test_making_a_plan_changes_nothing(model):
    apply_plan(model, make_plan(model, FullFineTune(), "affine"))
    before = values(model)
    make_plan(model, NewHead(), "frozen")
    make_plan(model, LastLayers("conv4"), "adapt")
    modes = {layer.mode for layer in model.layers if isinstance(layer, BatchNormalization)}
    assert (modes, len(model.trainable_variables)) == ({"affine"}, 15 * 3 + 2)
    assert {n: v.tobytes() for n, v in values(model).items()} == {
        n: v.tobytes() for n, v in before.items()
    }


@pytest.mark.parametrize("later", [NewHead(), LastLayers("conv4"), FullFineTune()], ids=str)
@pytest.mark.parametrize("earlier", [NewHead(), LastLayers("conv3"), FullFineTune()], ids=str)
def test_a_plan_acts_the_same_whatever_was_trained_before(earlier, later, model):
    apply_plan(model, make_plan(model, earlier, "adapt"))
    model.trainable = False
    plan = make_plan(model, later, "affine")
    apply_plan(model, plan)
    assert {v.path for v in model.trainable_variables} == set(plan.paths(TRAINED))


@pytest.mark.parametrize(
    ("start", "nearest"),
    [
        ("conv3_block3", "conv3_block2"),
        ("conv5", "conv4"),
        ("conv3-block1", "conv3_block1"),
        ("stage3", None),
        ("", None),
    ],
)
def test_an_unknown_block_is_refused_with_the_nearest_one(start, nearest, model):
    with pytest.raises(InputError) as error:
        make_plan(model, LastLayers(start), "affine")
    message = str(error.value)
    assert f"Unknown trainable_from {start!r}." in message
    assert ("Did you mean" in message) == (nearest is not None)
    assert nearest is None or f"'{nearest}'" in message.partition(" Known: ")[0]
    assert all(name in message for name in (*BLOCKS, "conv2", "conv3", "conv4"))


def test_by_default_the_networks_last_stage_is_trained(model):
    plan = make_plan(model, LastLayers(), "affine")
    assert plan == make_plan(model, LastLayers("conv4"), "affine")  # its last one
    assert {path.partition("/")[0].partition("_")[0] for path in plan.paths(TRAINED)} == {
        "conv4",
        "predictions",
    }


@pytest.mark.parametrize("start", ["head", "predictions", "new_predictions"])
def test_training_from_the_head_on_is_the_strategy_new_head(start, model):
    with pytest.raises(InputError, match=f"trainable_from='{start}' is the head alone.* NewHead"):
        make_plan(model, LastLayers(start), "affine")


@pytest.mark.parametrize("start", ["conv3", "conv3_block1"])
def test_stages_of_a_bottleneck_network_are_cut_alike(start):
    plan = make_plan(classifier(BOTTLENECK), LastLayers(start), "affine")
    trained = {path.partition("/")[0] for path in plan.paths(TRAINED)}
    layers = {f"conv3_block1_{n}_{kind}" for n in range(4) for kind in ("conv", "bn")}
    assert trained == {"predictions", *layers}


@pytest.mark.parametrize("bn_mode", BN_MODES)
@pytest.mark.parametrize(
    "strategy", [NewHead(), LastLayers("conv3"), FullFineTune(), FromScratch()], ids=str
)
def test_the_seed_of_dropout_is_state(strategy, bn_mode):
    plain = classifier(TINY)
    without = make_plan(plain, strategy, bn_mode)
    model = with_dropout(plain)
    plan = make_plan(model, strategy, bn_mode)
    (seed,) = plan.paths(STATE)
    assert seed == model.get_layer("dropout").seed_generator.state.path
    assert {path: role for path, role in plan.roles.items() if path != seed} == without.roles
    assert (plan.trained_parameters, plan.stages) == (without.trained_parameters, without.stages)
    apply_plan(model, plan)
    assert {v.path for v in model.trainable_variables} == set(plan.paths(TRAINED))
    before = fingerprints(model, plan)
    x = np.full((2, 16, 16, 3), 100.0, np.float32)
    assert np.any(model(x, training=True) != model(x, training=True))
    assert verify_plan(model, plan, before) == len(before) == len(plan.paths(FROZEN, FIXED))


def test_momentum_is_set_where_the_statistics_follow(model):
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            layer.momentum = 0.99
    apply_plan(model, make_plan(model, LastLayers("conv4"), "adapt"), bn_momentum=0.95)
    momenta = {
        layer.name: layer.momentum
        for layer in model.layers
        if isinstance(layer, BatchNormalization)
    }
    assert {n for n, m in momenta.items() if m == 0.95} == {
        n for n in momenta if n.startswith("conv4")
    }
    assert set(momenta.values()) == {0.95, 0.99}
    apply_plan(model, make_plan(model, FullFineTune(), "affine"), bn_momentum=0.5)
    assert model.get_layer("conv1_bn").momentum == 0.99


def test_a_plan_that_keras_cannot_follow_is_a_defect(model):
    plan = make_plan(model, NewHead(), "frozen")
    split = dataclasses.replace(plan, roles={**plan.roles, "predictions/bias": FROZEN})
    with pytest.raises(RuntimeError, match=r"differ on what is trained: \['predictions/bias'\]"):
        apply_plan(model, split)


def change_by_one_ulp(variable):
    value = variable.numpy()
    value.flat[-1] = np.nextafter(value.flat[-1], np.float32(np.inf))
    variable.assign(value)


VERIFIED = {  # variables that the plan says will not change: 15 convolutions, 15 of γ, β and statistics
    "NewHead": (NewHead(), "frozen", 15 * 5),
    "LastLayers affine": (LastLayers("conv4"), "affine", 10 * 5 + 5 * 2),
    "LastLayers adapt": (LastLayers("conv4"), "adapt", 10 * 5),
    "LastLayers frozen": (LastLayers("conv4"), "frozen", 10 * 5 + 5 * 4),
    "FullFineTune affine": (FullFineTune(), "affine", 15 * 2),
    "FullFineTune adapt": (FullFineTune(), "adapt", 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", VERIFIED)
def test_a_change_of_one_bit_is_found_exactly_where_the_plan_forbids_it(case, model):
    strategy, bn_mode, count = VERIFIED[case]
    plan = make_plan(model, strategy, bn_mode)
    before = fingerprints(model, plan)
    assert verify_plan(model, plan, before) == len(before) == count
    for variable in model.variables:
        kept = variable.numpy()
        change_by_one_ulp(variable)
        if plan.roles[variable.path] in (FROZEN, FIXED):
            with pytest.raises(RuntimeError, match=f"1 variables changed .*: {variable.path}"):
                verify_plan(model, plan, before)
        else:
            assert verify_plan(model, plan, before) == count
        variable.assign(kept)


def test_several_changes_are_counted_and_named(model):
    plan = make_plan(model, LastLayers("conv4"), "affine")
    before = fingerprints(model, plan)
    paths = ("conv1_conv/kernel", "conv1_bn/moving_mean", "conv4_block2_2_bn/moving_variance")
    for variable in model.variables:
        if variable.path in paths:
            change_by_one_ulp(variable)
    with pytest.raises(RuntimeError, match="3 variables changed") as error:
        verify_plan(model, plan, before)
    assert all(path in str(error.value) for path in paths)


@pytest.mark.parametrize(("strategy", "start", "on"), CASES, ids=str)
def test_a_plan_is_plain_json(strategy, start, on, models):
    plan = make_plan(models[on], strategy, "affine")
    read = json.loads(json.dumps(plan.to_json()))
    assert read["roles"] == plan.roles
    assert read["bn_modes"] == plan.bn_modes
    assert sum(stage["trained"] for stage in read["stages"]) == plan.trained_parameters
