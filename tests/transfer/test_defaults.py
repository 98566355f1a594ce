"""How the numbers of a run are decided: the recipe's own win, the rest follows from the data's size."""

import pytest

from tl_toolkit.catalog import BN_MODES
from tl_toolkit.errors import InputError
from tl_toolkit.recipe import Recipe
from tl_toolkit.strategies import FromScratch, FullFineTune, LastLayers, NewHead
from tl_toolkit.transfer import defaults
from tl_toolkit.transfer.defaults import (
    DEFAULTS,
    GENTLE_RATE,
    REFERENCE_BATCH,
    SMALLEST_BATCH_FOR_STATISTICS,
    WARMUP_SHARE,
    StrategyDefaults,
    bn_momentum,
    choose_hyperparameters,
    scaled_learning_rate,
)

STRATEGIES = [NewHead(), LastLayers(), FullFineTune(), FromScratch()]
TABLE = StrategyDefaults("sgd", 0.5, 0.25, batch_size=32, fewest_steps=200, fewest_epochs=20)


def recipe(strategy, **fields):
    start = {"backbone": "resnet18"} if isinstance(strategy, FromScratch) else {"weights": "w"}
    return Recipe(data="digits", strategy=strategy, **start, **fields)


@pytest.fixture
def table(monkeypatch):
    """Known numbers in place of the table's."""
    monkeypatch.setattr(defaults, "DEFAULTS", dict.fromkeys(DEFAULTS, TABLE))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_what_the_recipe_leaves_open_comes_from_the_strategys_row(strategy):
    row = DEFAULTS[type(strategy)]
    decided = choose_hyperparameters(recipe(strategy), examples=10_000)
    assert (decided.optimizer, decided.learning_rate, decided.weight_decay) == (
        (row.optimizer, row.learning_rate, row.weight_decay)
    )
    assert decided.batch_size == row.batch_size
    assert decided.label_smoothing == 0.0


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer", "sgd"),
        ("optimizer", "adamw"),
        ("learning_rate", 0.123),
        ("weight_decay", 0.0456),
        ("weight_decay", 0),
        ("batch_size", 7),
        ("epochs", 1),
        ("epochs", 999),
        ("label_smoothing", 0.1),
    ],
)
def test_what_the_recipe_says_wins(field, value, strategy):
    usual = choose_hyperparameters(recipe(strategy), examples=100)
    decided = choose_hyperparameters(recipe(strategy, **{field: value}), examples=100)
    assert getattr(decided, field) == value
    if field in ("optimizer", "learning_rate", "weight_decay", "label_smoothing"):
        assert decided.epochs == usual.epochs
        assert decided.steps_per_epoch == usual.steps_per_epoch


@pytest.mark.parametrize(
    ("examples", "batch_size", "steps", "smallest"),
    [
        (1, 1, 1, 1),
        (31, 31, 1, 31),
        (32, 32, 1, 32),
        (33, 32, 2, 16),
        (50, 32, 2, 25),
        (64, 32, 2, 32),
        (65, 32, 3, 21),
        (1000, 32, 32, 31),
    ],
)
def test_a_batch_is_capped_by_the_examples_and_an_epoch_takes_each_once(
    examples, batch_size, steps, smallest, table
):
    decided = choose_hyperparameters(recipe(NewHead()), examples)
    assert (decided.batch_size, decided.steps_per_epoch) == (batch_size, steps)
    assert decided.smallest_batch == smallest
    capped = choose_hyperparameters(recipe(NewHead(), batch_size=10_000), examples)
    assert (capped.batch_size, capped.steps_per_epoch, capped.smallest_batch) == (
        (examples, 1, examples)
    )


@pytest.mark.parametrize(
    ("examples", "epochs"),
    [
        (10, 200),  # one step an epoch: 200 steps
        (33, 100),  # two
        (96, 67),  # three: 201 steps are the fewest that are not under 200
        (320, 20),  # ten: the fewest epochs and the fewest steps agree
        (352, 20),
        (100_000, 20),
    ],
)
def test_small_data_trains_for_the_fewest_steps_and_large_data_for_the_fewest_epochs(
    examples, epochs, table
):
    decided = choose_hyperparameters(recipe(FullFineTune()), examples)
    assert decided.epochs == epochs
    assert decided.epochs * decided.steps_per_epoch >= TABLE.fewest_steps
    assert decided.warmup_steps == round(WARMUP_SHARE * epochs * decided.steps_per_epoch)


@pytest.mark.parametrize("replicas", [2, 3, 4, 32, 64])
def test_no_number_depends_on_how_many_replicas_share_a_batch(replicas, table):
    alone = choose_hyperparameters(recipe(FullFineTune()), 320)
    assert choose_hyperparameters(recipe(FullFineTune()), 320, replicas) == alone
    assert (alone.batch_size, alone.bn_mode) == (32, "adapt")


def test_a_batch_that_replicas_do_not_divide_is_refused(table):
    with pytest.raises(InputError, match=r"do not divide 10\. The nearest that works is 8\."):
        choose_hyperparameters(recipe(FullFineTune(), batch_size=10), 1000, replicas=4)


@pytest.mark.parametrize(
    ("batch_size", "optimizer", "factor"),
    [
        (None, "sgd", 1),
        (32, "adamw", 1),
        (8, "adamw", 0.5),
        (128, "adamw", 2),
        (8, "sgd", 0.25),
        (128, "sgd", 4),
    ],
)
def test_the_default_learning_rate_is_scaled_to_the_batch_size_that_is_asked_for(
    batch_size, optimizer, factor
):
    assert scaled_learning_rate(0.3, batch_size or REFERENCE_BATCH, optimizer) == 0.3 * factor
    fields = {"batch_size": batch_size, "optimizer": optimizer}
    for strategy in STRATEGIES:
        rate = DEFAULTS[type(strategy)].learning_rate
        decided = choose_hyperparameters(recipe(strategy, **fields), 1000)
        assert decided.learning_rate == rate * factor
        given = choose_hyperparameters(recipe(strategy, learning_rate=0.01, **fields), 1000)
        assert given.learning_rate == 0.01


def test_a_solved_head_on_the_weights_own_statistics_is_fine_tuned_gently():
    for on in ("features", "all_blocks"):
        gentle = FullFineTune(on=on, head_first=True, bn_mode="affine")
        assert choose_hyperparameters(recipe(gentle), 1000).learning_rate == GENTLE_RATE
        by_hundreds = choose_hyperparameters(recipe(gentle, batch_size=128), 1000)
        assert by_hundreds.learning_rate == 2 * GENTLE_RATE
    usual = DEFAULTS[FullFineTune].learning_rate
    head_first = FullFineTune(head_first=True)
    by_stages = choose_hyperparameters(recipe(head_first, unfreeze_epochs=2), 1000)
    assert (by_stages.bn_mode, by_stages.learning_rate) == ("affine", GENTLE_RATE)
    few = choose_hyperparameters(recipe(head_first), 10)
    assert (few.bn_mode, few.learning_rate) == ("affine", GENTLE_RATE)
    by_sgd = recipe(FullFineTune(head_first=True, bn_mode="affine"), optimizer="sgd")
    assert choose_hyperparameters(by_sgd, 1000).learning_rate == usual
    for other in (FullFineTune(bn_mode="affine"), FullFineTune(head_first=True)):
        assert choose_hyperparameters(recipe(other), 1000).learning_rate == usual > 9 * GENTLE_RATE


@pytest.mark.parametrize("examples", [10, 31, 50])
def test_few_images_leave_the_learning_rate_as_it_is(examples):
    """50 images in batches of 32 at most are batches of 25, trained at the rate for 32."""
    assert choose_hyperparameters(recipe(NewHead()), examples).learning_rate == 1e-2
    beyond = choose_hyperparameters(recipe(NewHead(), batch_size=4096), examples).learning_rate
    assert beyond == scaled_learning_rate(1e-2, max(examples, 32), "adamw")


@pytest.mark.parametrize("examples", [4, 1000])
def test_a_new_head_keeps_every_statistic(examples):
    decided = choose_hyperparameters(recipe(NewHead()), examples)
    assert (decided.bn_mode, decided.notes) == ("frozen", ())


@pytest.mark.parametrize("examples", [4, 1000])
def test_last_layers_train_on_the_pretrained_statistics(examples):
    decided = choose_hyperparameters(recipe(LastLayers()), examples)
    assert (decided.bn_mode, decided.notes) == ("affine", ())


@pytest.mark.parametrize("examples", [15, 16])
def test_full_fine_tuning_adapts_where_a_batch_is_large_enough_and_says_where_it_is_not(examples):
    decided = choose_hyperparameters(recipe(FullFineTune()), examples)
    if examples == SMALLEST_BATCH_FOR_STATISTICS:
        assert (decided.bn_mode, decided.notes) == ("adapt", ())
    else:
        assert decided.bn_mode == "affine"
        assert decided.notes == (
            "batches of 15 images are too small for batch normalisation's statistics "
            "(under 16): the pretrained ones are kept (affine mode)",
        )


@pytest.mark.parametrize("mode", BN_MODES)
@pytest.mark.parametrize("strategy", [LastLayers, FullFineTune])
def test_a_mode_that_the_recipe_names_is_kept_and_a_risky_one_noted(strategy, mode):
    decided = choose_hyperparameters(recipe(strategy(bn_mode=mode)), 100)
    assert (decided.bn_mode, decided.notes) == (mode, ())
    small = choose_hyperparameters(recipe(strategy(bn_mode=mode), batch_size=8), 100)
    assert (small.bn_mode, small.smallest_batch) == (mode, 7)
    if mode == "adapt":
        (note,) = small.notes
        assert note.startswith("batches of 7 images are too small")
        assert note.endswith("a larger batch_size helps, or bn_mode='affine' with weights")
    else:
        assert small.notes == ()


@pytest.mark.parametrize("batch_size", [8, 32])
def test_training_from_scratch_has_no_statistics_to_keep(batch_size):
    decided = choose_hyperparameters(recipe(FromScratch(), batch_size=batch_size), 320)
    assert decided.bn_mode == "adapt"
    assert len(decided.notes) == (1 if batch_size == 8 else 0)


@pytest.mark.parametrize(("steps", "momentum"), [(1, 0.9), (30, 0.9), (60, 0.95), (100, 0.97)])
def test_a_moving_average_forgets_within_about_an_epoch(steps, momentum):
    assert bn_momentum(steps) == pytest.approx(momentum, abs=1e-12)
    decided = choose_hyperparameters(recipe(FullFineTune(), batch_size=2), examples=2 * steps)
    assert (decided.steps_per_epoch, decided.bn_momentum) == (steps, bn_momentum(steps))


def test_while_stages_join_one_by_one_statistics_stay_as_they_came():
    decided = choose_hyperparameters(recipe(FullFineTune(), unfreeze_epochs=2), 100)
    assert decided.bn_mode == "affine"
    assert "unfreeze_epochs" in decided.notes[0]
    assert decided.unfreeze_epochs == 2
    assert choose_hyperparameters(recipe(FullFineTune()), 100).bn_mode == "adapt"


def test_what_holds_training_back_is_the_recipes():
    held = {"layer_decay": 0.5, "layer_rates": {"stem": 0.1}, "l2_sp": 0.25, "ema": 0.9}
    decided = choose_hyperparameters(recipe(FullFineTune(), **held), 100)
    assert (decided.layer_decay, decided.l2_sp, decided.ema) == (0.5, 0.25, 0.9)
    assert decided.layer_rates == (("stem", 0.1),)
    hash(decided)
    plain = choose_hyperparameters(recipe(FullFineTune()), 100)
    assert (plain.layer_decay, plain.layer_rates, plain.l2_sp, plain.ema) == (None, (), None, None)
