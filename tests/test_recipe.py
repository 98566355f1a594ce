"""A recipe is plain data: what it holds goes through JSON, and what it cannot hold is refused."""

import dataclasses
import json
import re
import subprocess
import sys
from typing import get_args

import hypothesis
import hypothesis.strategies as st
import pytest

from tl_toolkit.catalog import (
    AUGMENTATIONS,
    BLOCK_COUNTS,
    BN_MODES,
    PREPROCESSING,
    RESIZES,
    STEMS,
    VARIANTS,
    On,
    OnBadImage,
)
from tl_toolkit.errors import InputError
from tl_toolkit.recipe import (
    ClassBalance,
    Devices,
    Optimizer,
    Precision,
    Recipe,
    ServePrecision,
)
from tl_toolkit.strategies import (
    STRATEGIES,
    Auto,
    FromScratch,
    FullFineTune,
    LastLayers,
    NewHead,
    strategy_named,
)

PROBE = Recipe(data="digits", strategy=NewHead(), weights="digits.safetensors")
SCRATCH = Recipe(data="digits", strategy=FromScratch(), backbone="resnet18")


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state, and clearing it takes a third of a second a test."""


def optional(strategy):
    return st.none() | strategy


def over_0(most=1e6):
    return st.floats(0, most, exclude_min=True)


FINE_TUNINGS = st.one_of(
    st.builds(FullFineTune, bn_mode=st.sampled_from((None, "affine"))),
    st.builds(LastLayers),
)
TRANSFERS = st.one_of(
    st.builds(
        FullFineTune,
        on=st.sampled_from(get_args(On)),
        bn_mode=optional(st.sampled_from(BN_MODES)),
        head_first=st.booleans(),
    ),
    st.builds(
        LastLayers,
        trainable_from=st.text(),
        on=st.sampled_from(get_args(On)),
        bn_mode=optional(st.sampled_from(BN_MODES)),
    ),
    st.builds(
        NewHead,
        on=st.sampled_from(get_args(On)),
        solver=st.sampled_from((None, "gradient")),  # "lbfgs" refuses what other fields may hold
    ),
    st.builds(Auto, minutes=optional(over_0())),
)
COUNTS = optional(st.integers(1))
OTHER_FIELDS = {
    "data": st.text(min_size=1),
    "variant": optional(st.sampled_from(VARIANTS)),
    "width": COUNTS,
    "stem": optional(st.sampled_from(STEMS)),
    "bn_epsilon": optional(over_0()),
    "last_stage": optional(st.text()),
    "preprocessing": optional(st.sampled_from(sorted(PREPROCESSING))),
    "image_size": optional(st.integers(8)),
    "crop_fraction": st.none() | st.floats(0.1, 1.0),
    "resize": optional(st.sampled_from(RESIZES)),
    "value_range": optional(st.tuples(st.floats(-1e6, 0), st.floats(0, 1e6, exclude_min=True))),
    "views": COUNTS,
    "cache": st.booleans(),
    "prepared": st.booleans(),
    "precision": st.sampled_from(get_args(Precision)),
    "serve_precision": st.sampled_from(get_args(ServePrecision)),
    "devices": st.sampled_from(get_args(Devices)),
    "labels_per_class": COUNTS,
    "test_fraction": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "validation_fraction": optional(st.floats(0, 1, exclude_max=True)),
    "split_seed": st.integers(0),
    "on_bad_image": st.sampled_from(get_args(OnBadImage)),
    "group_near_duplicates": st.booleans(),
    "class_balance": st.sampled_from(get_args(ClassBalance)),
    "augmentation": optional(st.sampled_from(sorted(AUGMENTATIONS))),
    "optimizer": optional(st.sampled_from(get_args(Optimizer))),
    "learning_rate": optional(over_0()),
    "weight_decay": optional(st.floats(0, 1e6)),
    "layer_rates": optional(st.dictionaries(st.text(), over_0(), max_size=3)),
    "ema": optional(st.floats(0.1, 0.9999)),
    "batch_size": COUNTS,
    "epochs": COUNTS,
    "label_smoothing": st.floats(0, 1, exclude_max=True),
    "patience": COUNTS,
    "positive_class": optional(st.text()),
    "find": optional(st.floats(0, 1, exclude_min=True)),
    "seed": st.integers(0),
}
# What holds back a backbone that is fine-tuned, and is refused elsewhere.
HELD_BACK = {
    "layer_decay": optional(st.floats(0.1, 1)),
    "l2_sp": optional(over_0()),
    "unfreeze_epochs": COUNTS,
}
BACKBONES = st.sampled_from(sorted(BLOCK_COUNTS))
RECIPES = st.one_of(
    st.builds(
        Recipe, strategy=TRANSFERS, weights=st.text(), backbone=optional(BACKBONES), **OTHER_FIELDS
    ),
    st.builds(Recipe, strategy=FINE_TUNINGS, weights=st.text(), **OTHER_FIELDS, **HELD_BACK),
    st.builds(Recipe, strategy=st.builds(FromScratch), backbone=BACKBONES, **OTHER_FIELDS),
)


@hypothesis.given(RECIPES)
def test_every_recipe_comes_back_from_json_as_it_was(recipe):
    text = json.dumps(recipe.to_json())
    assert Recipe.from_json(json.loads(text)) == recipe
    assert hash(Recipe.from_json(json.loads(text))) == hash(recipe)
    assert set(json.loads(text)) == {field.name for field in dataclasses.fields(Recipe)}


def test_the_round_trip_covers_every_field_and_every_strategy():
    fields = {*OTHER_FIELDS, *HELD_BACK, "strategy", "weights", "backbone"}
    assert fields == {field.name for field in dataclasses.fields(Recipe)}
    assert set(STRATEGIES) == {"full_fine_tune", "last_layers", "new_head", "from_scratch", "auto"}
    assert SCRATCH.to_json()["strategy"] == {"name": "from_scratch"}
    assert PROBE.replace(strategy=LastLayers("conv4", bn_mode="frozen")).to_json()["strategy"] == {
        "name": "last_layers",
        "trainable_from": "conv4",
        "on": "features",
        "bn_mode": "frozen",
        "head_first": True,
    }


@pytest.mark.parametrize("recipe", [PROBE.replace(data="folder:Füße 足", epochs=3), SCRATCH])
def test_a_saved_recipe_loads_as_it_was(recipe, tmp_path):
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe
    assert Recipe.load(str(tmp_path / "recipe.json")) == recipe


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (None, r"Cannot read the recipe '.*recipe\.json': No such file"),
        (b"{", r"'.*recipe\.json' is not JSON: "),
        (b"\x80\x81\xff", r"'.*recipe\.json' is not JSON: "),
        (b"[]", "must be a JSON object. Received: list"),
        (b'{"strategy": {"name": "new_head"}}', "needs the field 'data'"),
        (b'{"data": "digits"}', "needs the field 'strategy'"),
    ],
    ids=["absent", "half", "binary", "list", "without data", "without strategy"],
)
def test_a_file_that_is_no_recipe_is_refused(contents, message, tmp_path):
    path = tmp_path / "recipe.json"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(InputError, match=message):
        Recipe.load(path)


@pytest.mark.parametrize(
    ("changes", "unknown", "nearest"),
    [
        ({"learning_rat": 0.1}, "recipe field 'learning_rat'", "learning_rate"),
        ({"backbone": "resnet19"}, "backbone 'resnet19'", "resnet18"),
        ({"variant": "v15"}, "variant 'v15'", "v1.5"),
        ({"stem": "cifar10"}, "stem 'cifar10'", "cifar"),
        ({"preprocessing": "cafe"}, "preprocessing 'cafe'", "caffe"),
        ({"class_balance": "weight"}, "class_balance 'weight'", "weights"),
        ({"optimizer": "adam"}, "optimizer 'adam'", "adamw"),
        ({"augmentation": "phtoo"}, "augmentation 'phtoo'", "photo"),
        ({"on_bad_image": "skipp"}, "on_bad_image 'skipp'", "skip"),
        ({"precision": "float31"}, "precision 'float31'", "float32"),
        ({"serve_precision": "bfloat"}, "serve_precision 'bfloat'", "bfloat16"),
        ({"devices": "mirror"}, "devices 'mirror'", "mirrored"),
    ],
    ids=str,
)
def test_an_unknown_name_is_refused_with_the_nearest_right_one(changes, unknown, nearest):
    message = f"Unknown {re.escape(unknown)}. Did you mean '{re.escape(nearest)}'"
    with pytest.raises(InputError, match=message):
        Recipe.from_json(PROBE.to_json() | changes)
    with pytest.raises(InputError, match=message):
        PROBE.replace(**changes)


@pytest.mark.parametrize(
    ("name", "options", "unknown", "nearest"),
    [
        ("newhead", {}, "strategy 'newhead'", "new_head"),
        ("last_layer", {}, "strategy 'last_layer'", "last_layers"),
        ("new_head", {"onn": "logits"}, "option of strategy 'new_head' 'onn'", "on"),
        ("new_head", {"on": "logit"}, "on 'logit'", "logits"),
        ("full_fine_tune", {"on": "feature"}, "on 'feature'", "features"),
        ("full_fine_tune", {"bn_mode": "adapted"}, "bn_mode 'adapted'", "adapt"),
        ("last_layers", {"bn_mode": "afine"}, "bn_mode 'afine'", "affine"),
        ("last_layers", {"on": "pixels"}, "on 'pixels'", None),
        ("last_layers", {"trainable": "conv4"}, "option of .*'trainable'", "trainable_from"),
        ("from_scratch", {"on": "logits"}, "option of strategy 'from_scratch' 'on'", None),
    ],
    ids=str,
)
def test_an_unknown_strategy_or_option_is_refused_with_the_nearest_right_one(
    name, options, unknown, nearest
):
    suggestion = f" Did you mean '{nearest}'" if nearest else " Known: "
    with pytest.raises(InputError, match=f"Unknown {unknown}.{suggestion}"):
        Recipe.from_json(PROBE.to_json() | {"strategy": {"name": name, **options}})


def test_hyphens_in_a_strategy_count_as_underscores():
    assert strategy_named("last-layers", trainable_from="conv3") == LastLayers("conv3")
    assert strategy_named("full-fine-tune", on="logits") == FullFineTune("logits")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((f, v) for f in ("epochs", "batch_size", "patience", "width", "views") for v in (0, -1)),
        *((f, v) for f in ("test_fraction", "crop_fraction") for v in (0, -0.1, 7)),
        *(("validation_fraction", v) for v in (-0.1, 1, 7)),
        *(("labels_per_class", v) for v in (0, -3)),
        *(("image_size", v) for v in (-1, 0, 7)),
        *((f, v) for f in ("learning_rate", "bn_epsilon") for v in (0, -0.1)),
        ("weight_decay", -1e-9),
        ("label_smoothing", -0.01),
        ("label_smoothing", 1),
        ("seed", -1),
        ("split_seed", -1),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_value(field, value):
    with pytest.raises(InputError, match=rf"`{field}`.*Received: .*{re.escape(str(value))}"):
        PROBE.replace(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight_decay", 0),
        ("label_smoothing", 0),
        ("label_smoothing", 0.999),
        ("seed", 0),
        ("split_seed", 0),
        ("epochs", 1),
        ("learning_rate", 1e-30),
    ],
)
def test_the_edge_of_a_range_is_taken(field, value):
    assert getattr(PROBE.replace(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "ten"}, "`epochs` must be a whole number or None. Received: 'ten'"),
        ({"epochs": 2.5}, "`epochs` must be a whole number or None. Received: 2.5"),
        ({"batch_size": True}, "`batch_size` must be a whole number or None. Received: True"),
        ({"seed": None}, "`seed` must be a whole number. Received: None"),
        ({"seed": "1"}, "`seed` must be a whole number. Received: '1'"),
        ({"learning_rate": [0.1]}, r"`learning_rate` must be a finite number or None.*\[0.1\]"),
        ({"learning_rate": float("inf")}, "`learning_rate` must be a finite number.*inf"),
        ({"bn_epsilon": float("nan")}, "`bn_epsilon` must be a finite number.*nan"),
        ({"weight_decay": float("inf")}, "`weight_decay` must be a finite number.*inf"),
        ({"label_smoothing": None}, "`label_smoothing` must be a finite number. Received: None"),
        ({"test_fraction": "0.2"}, "`test_fraction` must be a finite number. Received: '0.2'"),
        ({"labels_per_class": "5"}, "`labels_per_class` must be a whole number or None.*'5'"),
        ({"data": 5}, "`data` must be text. Received: 5"),
        ({"weights": 5}, "`weights` must be text or None. Received: 5"),
        ({"backbone": ["resnet18"]}, r"`backbone` must be text or None.*\['resnet18'\]"),
        ({"class_balance": {}}, "`class_balance` must be text. Received: {}"),
        ({"strategy": "new_head"}, "'strategy' must be an object such as .*'new_head'"),
        ({"strategy": None}, "'strategy' must be an object such as .*None"),
        ({"strategy": {"on": "logits"}}, "'strategy' must be an object such as .*'on'"),
        ({"strategy": {"name": ["new_head"]}}, "Unknown strategy .*new_head"),
        ({"strategy": {"name": "new_head", "on": 1}}, "`on` must be text. Received: 1"),
        (
            {"strategy": {"name": "last_layers", "trainable_from": 4}},
            "`trainable_from` must be text or None. Received: 4",
        ),
        (
            {"strategy": {"name": "full_fine_tune", "bn_mode": False}},
            "`bn_mode` must be text or None. Received: False",
        ),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_type_is_refused_by_name(changes, message, tmp_path):
    values = PROBE.to_json() | changes
    with pytest.raises(InputError, match=message):
        Recipe.from_json(values)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=message):
        Recipe.load(path)


def test_a_whole_number_will_do_for_a_number():
    assert PROBE.replace(learning_rate=1, weight_decay=0).learning_rate == 1


def test_a_strategys_name_stands_for_its_defaults():
    for name, strategy in STRATEGIES.items():
        if strategy is not FromScratch:
            assert PROBE.replace(strategy=name) == PROBE.replace(strategy=strategy())
    with pytest.raises(InputError, match=r"Unknown strategy 'new_heat'. Did you mean 'new_head'"):
        PROBE.replace(strategy="new_heat")


@pytest.mark.parametrize("strategy", [NewHead, None, 1], ids=str)
def test_a_strategy_must_be_made(strategy):
    with pytest.raises(InputError, match=r"`strategy` must be one of tl.FullFineTune\(\), .*"):
        Recipe(data="digits", strategy=strategy, weights="digits.safetensors")


def test_training_from_scratch_takes_a_backbone_and_no_weights():
    with pytest.raises(
        InputError, match=r"`weights` must be None. Received: 'a.keras'.*`backbone`"
    ):
        SCRATCH.replace(weights="a.keras")
    with pytest.raises(InputError, match="needs `backbone`, such as 'resnet18'"):
        SCRATCH.replace(backbone=None)


@pytest.mark.parametrize("strategy", [FullFineTune(), LastLayers(), NewHead()])
def test_transfer_starts_from_what_suits_the_data_unless_the_recipe_says_otherwise(strategy):
    assert Recipe(data="folder:photos", strategy=strategy).start == "imagenet"
    assert Recipe(data="digits", strategy=strategy).start == "digits"
    assert Recipe(data="digits", strategy=strategy, weights="a.keras").start == "a.keras"
    assert SCRATCH.start is None


def test_replace_changes_what_it_names_and_nothing_else():
    changed = PROBE.replace(epochs=7, strategy=FullFineTune())
    assert (changed.epochs, changed.strategy, PROBE.epochs) == (7, FullFineTune(), None)
    assert changed.replace(epochs=None, strategy=NewHead()) == PROBE


@pytest.mark.parametrize("name", ["tl_toolkit", "tl_toolkit.recipe", "tl_toolkit.catalog"])
def test_importing_loads_no_tensorflow(name):
    probe = (
        f"import sys, {name}, tl_toolkit; "
        "tl_toolkit.Recipe(data='d', strategy=tl_toolkit.NewHead(), weights='w'); "
        "tl_toolkit.list_weights(); "
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'tensorflow', 'keras', 'numpy'}))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "[]\n"


def test_rates_by_name_are_numbers_in_json_and_compare_whatever_their_order():
    one = PROBE.replace(layer_rates={"head": 1, "conv2": 0.1})
    assert one == PROBE.replace(layer_rates={"conv2": 0.1, "head": 1})
    assert one == PROBE.replace(layer_rates=[("head", 1), ("conv2", 0.1)])
    assert one.layer_rates == (("conv2", 0.1), ("head", 1))
    assert json.loads(json.dumps(one.to_json()))["layer_rates"] == {"conv2": 0.1, "head": 1}
    assert one.replace(seed=1).layer_rates == one.layer_rates
    assert PROBE.replace(layer_rates={}) == PROBE


def test_a_recipe_of_an_earlier_version_holds_nothing_back():
    values = {
        k: v for k, v in PROBE.to_json().items() if k not in (*HELD_BACK, "layer_rates", "ema")
    }
    assert Recipe.from_json(values) == PROBE
    assert [getattr(PROBE, name) for name in (*HELD_BACK, "layer_rates", "ema")] == [None] * 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer_decay": 0}, r"`layer_decay` must be over 0 and at most 1\. Received: 0"),
        ({"layer_decay": 1.1}, r"over 0 and at most 1"),
        ({"layer_rates": {"head": 0}}, r"`layer_rates\['head'\]` must be over 0\. Received: 0"),
        ({"layer_rates": {"head": float("nan")}}, r"a finite number"),
        ({"layer_rates": {"head": True}}, r"a finite number"),
        ({"layer_rates": {1: 0.5}}, r"`a name in layer_rates` must be text\. Received: 1"),
        ({"layer_rates": "head=1"}, r"`layer_rates` must be numbers by name\. Received: 'head=1'"),
        ({"layer_rates": 0.5}, r"must be numbers by name"),
        ({"layer_rates": [("head", 1), ("head", 2)]}, r"must name each once"),
        ({"l2_sp": 0}, r"`l2_sp` must be over 0"),
        ({"ema": 1}, r"`ema` must be over 0 and under 1"),
        ({"ema": 0}, r"`ema` must be over 0 and under 1"),
        ({"unfreeze_epochs": 0}, r"`unfreeze_epochs` must be at least 1"),
    ],
)
def test_what_holds_nothing_back_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        PROBE.replace(strategy=FullFineTune(), **fields)


@pytest.mark.parametrize("name", ["layer_decay", "l2_sp", "unfreeze_epochs"])
def test_a_new_head_alone_has_nothing_that_could_be_held_back(name):
    with pytest.raises(InputError, match=f"`{name}` must be left out.*the head alone, at one rate"):
        PROBE.replace(**{name: 1})


@pytest.mark.parametrize("name", ["l2_sp", "unfreeze_epochs"])
def test_from_scratch_there_is_nothing_worth_keeping(name):
    with pytest.raises(
        InputError, match=f"`{name}` must be left out.*'from_scratch' has no weights"
    ):
        SCRATCH.replace(**{name: 1})
    assert SCRATCH.replace(layer_decay=0.5, ema=0.9).layer_decay == 0.5


@pytest.mark.parametrize("strategy", [FullFineTune, LastLayers])
def test_statistics_of_what_is_not_trained_yet_must_not_follow(strategy):
    with pytest.raises(
        InputError, match=r"bn_mode='adapt' would move the statistics.*use 'affine'"
    ):
        PROBE.replace(strategy=strategy(bn_mode="adapt"), unfreeze_epochs=1)
    for mode in (None, "affine", "frozen"):
        PROBE.replace(strategy=strategy(bn_mode=mode), unfreeze_epochs=1)


@pytest.mark.parametrize("fields", [{"ema": 0.9}, {"layer_rates": {"head": 2}}])
def test_what_only_steps_have_makes_a_new_head_be_trained_by_steps(fields):
    assert PROBE.solver == "lbfgs"
    assert PROBE.replace(**fields).solver == "gradient"
    with pytest.raises(
        InputError, match=r"is for training by steps, and solver='lbfgs' takes none"
    ):
        PROBE.replace(strategy=NewHead(solver="lbfgs"), **fields)
