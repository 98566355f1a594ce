"""Strategy "auto" keeps what images other than the test's say is best, within the time that it is given."""

import dataclasses
import json
import types

import numpy as np
import pytest
from scipy.special import expit, log_softmax
from tiny import PIXELS, classifier, write_safetensors

import tl_toolkit as tl
from tl_toolkit.catalog import Architecture, Preprocessing, WeightSpec
from tl_toolkit.data.dataset import ArrayImages, Split
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.experiments import climb as climb_module
from tl_toolkit.experiments import selection as selection_module
from tl_toolkit.experiments import time_budget
from tl_toolkit.experiments.climb import climb
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.rungs import LETTERBOXED, SHORTER, rung_recipes
from tl_toolkit.experiments.selection import Candidate, Selection
from tl_toolkit.experiments.time_budget import StopInTime
from tl_toolkit.experiments.time_rung import ExpectedTime, time_rung
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.report.calibration import fit_temperature
from tl_toolkit.report.ladder import ladder_table, measured
from tl_toolkit.report.metrics import log_loss
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.training.run_state import TrainingProgress
from tl_toolkit.transfer.defaults import GENTLE_RATE, choose_hyperparameters
from tl_toolkit.transfer.feature_cache import FeatureCache, NoRoomError
from tl_toolkit.transfer.network_pool import NetworkPool, weights_of

NAMES = [
    "new head",
    "new head on all blocks",
    "last layers",
    "everything",
    "everything, adapting",
]
FEW_RUNGS = ["new head", "everything"]
STAGES = "conv2", "conv3"  # of the tiny network
OF_RESNET = "conv2", "conv3", "conv4", "conv5"


@pytest.fixture(scope="module")
def recipe(photo_recipe):
    return photo_recipe.replace(
        strategy="auto",
        epochs=2,
        batch_size=None,  # large enough for statistics of their own
        learning_rate=None,
        augmentation="none",
        resize="crop",
    )


class NoImages(ArrayImages):
    """Images that must not be looked at."""

    def loader(self):
        raise AssertionError("A test image was read.")

    encoded = identity = loader


@pytest.fixture(scope="module")
def dataset(recipe):
    return open_recipe_data(recipe)


def four_stages(path):
    """Writes weights of a network of four stages."""
    architecture = Architecture("basic", (1, 1, 1, 1), width=4, stem="cifar")
    spec = WeightSpec("four", architecture, PIXELS, classes=5, licence="MIT")
    return write_safetensors(path, classifier(architecture, classes=5), spec)


@pytest.fixture(scope="module")
def climbed(recipe, dataset):
    rungs = rung_recipes(recipe, dataset, STAGES)
    rungs = {name: rungs[name] for name in FEW_RUNGS}  # the tiny network has no conv5 to train
    test = Split(NoImages(np.zeros((4, 8, 8, 3), np.uint8)), np.zeros(4, int), np.arange(4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tl_toolkit.experiments.climb.rung_recipes", lambda *_: rungs)
        return climb(recipe, Context(dataset=dataclasses.replace(dataset, test=test)))


def train_alone(recipe, dataset):
    return train_and_validate(recipe, Context(dataset=dataset))


def pretended(monkeypatch, losses, seconds=None):
    """Trainings that take no time and give these log losses in turn, and 9 after them; returns what was asked to be trained."""
    asked, losses = [], iter(losses)
    of_steps = seconds or ExpectedTime(1.0, 1.0, 2)

    def try_out(self, recipe, context):
        asked.append((recipe, context))
        return Candidate(recipe, 0.5, next(losses, 9.0), 7.0, None, None)

    monkeypatch.setattr(Selection, "try_out", try_out)
    monkeypatch.setattr(
        time_budget,
        "time_rung",
        lambda recipe, context: ExpectedTime(1.0) if recipe.solver == "lbfgs" else of_steps,
    )
    monkeypatch.setattr(selection_module, "train_and_validate", _trained)
    return asked


@dataclasses.dataclass(frozen=True)
class _Experiment:
    recipe: tl.Recipe
    notes: tuple = ()


@dataclasses.dataclass(frozen=True)
class _Trained:
    experiment: _Experiment


def _trained(recipe, context):
    return _Trained(_Experiment(recipe))


@pytest.mark.parametrize(
    ("minutes", "timed"),
    [
        (1, ["new head"]),
        (2, ["new head", "new head on all blocks"]),
        (None, NAMES),
    ],
)
def test_timing_rungs_takes_a_share_of_the_budget_and_what_is_not_timed_is_left_out(
    minutes, timed, recipe, dataset, monkeypatch
):
    pretended(monkeypatch, [0.5, 0.4, 0.3, 0.2])
    now = [0.0]

    def slow(recipe, context):
        now[0] += 20.0
        return ExpectedTime(1.0)

    monkeypatch.setattr(time_budget, "time_rung", slow)
    monkeypatch.setattr(time_budget.time, "monotonic", lambda: now[0])
    asked = recipe.replace(strategy=tl.Auto(minutes=minutes), image_size=32)
    climbed = climb(asked, Context(dataset=dataset))
    rungs = [rung for rung in climbed.rungs if "mirrored" not in rung.name]
    assert [rung.name for rung in rungs if rung.expected_seconds is not None] == timed
    for rung in rungs:
        assert (rung.seconds is None) == (rung.name not in timed)
        assert ("no time" in rung.note) == (rung.name not in timed)
        assert ladder_table(climbed.rungs).rows  # a rung without an expected time has a row too


@pytest.mark.slow
def test_the_kept_model_is_the_one_of_the_least_log_loss_and_no_test_image_was_read(
    climbed, dataset
):
    losses = {rung.name: rung.log_loss for rung in climbed.rungs}
    assert list(losses) == FEW_RUNGS
    kept = [rung.name for rung in climbed.rungs if rung.kept]
    assert kept == [min(losses, key=losses.get)]
    split, experiment = dataset.validation, climbed.trained.experiment
    logits = climbed.trained.validation_logits
    temperature = fit_temperature(logits, split.labels)
    of_each = log_softmax(logits / temperature, axis=1)[np.arange(len(split)), split.labels]
    assert -of_each.mean() == pytest.approx(losses[kept[0]], rel=1e-3, abs=1e-6)
    assert all(rung.seconds > 0 and rung.expected_seconds > 0 for rung in climbed.rungs)
    # The network was taken by other rungs since: it must hold this one's weights again.
    again = selection_module.predict_logits(experiment, split)[0]
    np.testing.assert_allclose(
        again * climbed.trained.calibration.temperature, logits, rtol=1e-3, atol=1e-3
    )


@pytest.mark.long
def test_the_kept_rungs_recipe_alone_trains_the_same_weights(climbed, dataset):
    alone = train_alone(climbed.trained.experiment.recipe, dataset)
    for mine, its in zip(weights_of(climbed.trained.model), weights_of(alone.model), strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.slow
def test_a_run_leaves_the_ladder_and_a_recipe_that_repeats_it(
    recipe, tmp_path, monkeypatch, no_saved_model, plots
):
    one = {"new head": rung_recipes(recipe, open_recipe_data(recipe), STAGES)["new head"]}
    monkeypatch.setattr("tl_toolkit.experiments.climb.rung_recipes", lambda *_: one)
    result = tl.run(recipe, tmp_path / "run", context=Context(photos=False))
    (row,) = json.loads((tmp_path / "run" / "ladder.json").read_text())
    assert row["kept"]
    assert row["name"] == "new head"
    assert row["seconds"] > 0
    assert row["top1"] == result.validation["top1"]
    assert (tmp_path / "run" / "ladder.png").stat().st_size > 5000
    assert tl.Recipe.load(tmp_path / "run" / "recipe.json") == one["new head"] == result.recipe
    assert "| new head |" in (tmp_path / "run" / "summary.md").read_text()
    assert [rung.name for rung in result.rungs] == ["new head"]


def test_rungs_that_are_solved_for_take_no_steps_and_the_others_keep_what_was_asked(
    recipe, dataset
):
    rungs = rung_recipes(recipe, dataset, STAGES)
    assert list(rungs) == NAMES
    assert [rungs[name].solver for name in NAMES] == ["lbfgs"] * 2 + ["gradient"] * 3
    assert [rungs[name].epochs for name in NAMES] == [None, None, 2, 2, 2]
    assert all(rungs[name].strategy.head_first for name in NAMES[2:])
    few = dataclasses.replace(dataset, train=dataset.train.take(np.arange(15)))
    assert list(rung_recipes(recipe, few, STAGES)) == NAMES[:4]
    assert list(rung_recipes(recipe.replace(batch_size=8), dataset, STAGES)) == NAMES[:4]
    mirrored = rung_recipes(recipe.replace(augmentation="surface"), dataset, STAGES)
    assert mirrored["new head on all blocks, mirrored"].strategy.tta == "flips"


@pytest.mark.parametrize(
    ("losses", "on"),
    [
        ([0.4, 0.3, 0.2, 0.5], "all_blocks"),
        ([0.3, 0.4, 0.5, 0.2], "features"),
        ([0.3, 0.3, 0.5, 0.2], "features"),
    ],
)
def test_fine_tuning_begins_with_the_head_that_did_better_and_everything_is_trained_slowly(
    losses, on, recipe, dataset, monkeypatch
):
    asked = pretended(monkeypatch, losses)
    found = climb(recipe, Context(dataset=dataset))
    assert [one.strategy for one, _ in asked[2:]] == [
        tl.LastLayers(on=on),
        tl.FullFineTune(on=on, head_first=True, bn_mode="affine"),
        tl.FullFineTune(on=on, head_first=True),
    ]
    assert [rung.strategy["on"] for rung in found.rungs[2:]] == [on] * 3
    of_32 = asked[3][0].replace(batch_size=32)
    assert choose_hyperparameters(of_32, 320).learning_rate == GENTLE_RATE
    assert choose_hyperparameters(of_32.replace(learning_rate=0.5), 320).learning_rate == 0.5


def test_a_rung_leaves_out_the_last_stage_where_there_are_three_and_nobody_named_it(
    recipe, dataset
):
    def stage(recipe, stages):
        rung = rung_recipes(recipe, dataset, stages).get(SHORTER)
        assert rung is None or rung.strategy == tl.NewHead(on="all_blocks", solver="lbfgs")
        return rung and rung.last_stage

    assert stage(recipe, OF_RESNET) == "conv4"
    assert stage(recipe, OF_RESNET[:3]) == "conv3"
    assert stage(recipe, STAGES) is None
    assert stage(recipe.replace(last_stage="conv4"), OF_RESNET[:3]) is None
    assert stage(recipe.replace(layer_rates={"conv5_block2": 0.1}), OF_RESNET) is None
    assert stage(recipe.replace(layer_rates={"conv4": 0.1}), OF_RESNET) == "conv4"


@pytest.mark.parametrize(
    ("losses", "stages", "on"),
    [
        ([0.4, 0.3, 0.2, 0.3, 0.1], ["conv4", None, "conv4", "conv4"], ["all_blocks"] * 3),
        ([0.4, 0.2, 0.3, 0.3], ["conv4", None, None, None], ["all_blocks"] * 3),
        # The last layers do best, which are of the whole network.
        ([0.4, 0.3, 0.2, 0.1, 0.3], ["conv4", None, None, None], ["all_blocks"] * 3),
        ([0.1, 0.3, 0.2, 0.3], ["conv4", None, None, None], ["features"] * 3),
    ],
)
def test_what_is_trained_later_ends_where_the_best_network_before_it_does(
    losses, stages, on, recipe, dataset, monkeypatch
):
    network = WeightSpec("r", Architecture("basic", (1, 1, 1, 1)), Preprocessing(image_size=32))
    monkeypatch.setattr(climb_module, "network_of", lambda recipe, context: (network, None))
    asked = pretended(monkeypatch, losses)
    found = climb(recipe, Context(dataset=dataset))
    names = [*NAMES[:2], SHORTER, *NAMES[2:]]
    assert [rung.name for rung in found.rungs] == names
    assert [r.last_stage for r, _ in asked] == [None, None, *stages]
    assert [r.strategy.on for r, _ in asked[3:]] == on
    assert [bool(rung.note) for rung in found.rungs[3:]] == [s is not None for s in stages[1:]]
    assert {rung.note for rung in found.rungs} <= {"", "without the last stage too"}


@pytest.mark.long
def test_a_climb_on_a_network_of_four_stages_reaches_its_end(dataset, recipe, tmp_path):
    weights = four_stages(tmp_path / "four.safetensors")
    found = climb(recipe.replace(weights=str(weights)), Context(dataset=dataset))
    assert all(rung.log_loss is not None for rung in found.rungs)
    assert [rung.name for rung in found.rungs] == [*NAMES[:2], SHORTER, *NAMES[2:]]
    assert found.rungs[2].seconds > 0
    (kept,) = [rung for rung in found.rungs if rung.kept]
    ends = found.trained.experiment.spec.architecture.stages[-1]
    assert (ends == "conv4") == ("without the last stage" in kept.name + kept.note)


@pytest.mark.parametrize(
    ("losses", "later", "remark"),
    [
        ([0.4, 0.3, 0.2, 0.5, 0.1], "letterbox", "letterboxed too"),
        ([0.4, 0.2, 0.3, 0.5, 0.1], "crop", ""),
        ([0.1, 0.3, 0.2, 0.5, 0.4], "crop", ""),
    ],
)
def test_photos_that_are_much_cut_off_are_letterboxed_where_that_is_better(
    losses, later, remark, recipe, dataset, monkeypatch
):
    monkeypatch.setattr(climb_module, "note_on_images", lambda images: "many lose much")
    asked = pretended(monkeypatch, losses)
    found = climb(recipe.replace(resize=None), Context(dataset=dataset))
    assert [rung.name for rung in found.rungs] == [*NAMES[:2], LETTERBOXED, *NAMES[2:]]
    assert [r.resize for r, _ in asked] == ["crop", "crop", "letterbox", *[later] * 3]
    assert [rung.note for rung in found.rungs] == ["", "", "", *[remark] * 3]
    kept = int(np.argmin(losses))
    assert found.trained.experiment.recipe == asked[kept][0]
    cut, whole = losses[1:3]
    note = f"a new head on all blocks has log loss {cut:.3f} on cut ones, and {whole:.3f} on letterboxed"
    assert any(note in said for said in found.trained.experiment.notes)


def test_without_time_for_letterboxed_photos_a_note_says_what_cutting_loses(
    recipe, dataset, monkeypatch
):
    monkeypatch.setattr(climb_module, "note_on_images", lambda images: "many lose much")
    pretended(monkeypatch, [0.4])
    asked = recipe.replace(resize=None, strategy=tl.Auto(minutes=0.01))
    found = climb(asked, Context(dataset=dataset))
    assert [rung.seconds is not None for rung in found.rungs] == [True] + [False] * 5
    assert found.trained.experiment.notes[-1] == "many lose much"


@pytest.mark.parametrize(
    ("change", "is_note"),
    [({"resize": "squash"}, True), ({"resize": "crop"}, True), ({"resize": None}, False)],
)
def test_who_chose_how_photos_become_square_or_loses_little_has_no_rung_for_it(
    change, is_note, recipe, dataset, monkeypatch
):
    monkeypatch.setattr(climb_module, "note_on_images", lambda images: "many" if is_note else None)
    asked = pretended(monkeypatch, [0.4, 0.3, 0.2, 0.1])
    found = climb(recipe.replace(**change), Context(dataset=dataset))
    assert [rung.name for rung in found.rungs] == NAMES
    assert {r.resize for r, _ in asked} == {change["resize"]}


def test_weights_that_letterbox_have_no_rung_for_it(recipe, dataset, monkeypatch):
    monkeypatch.setattr(climb_module, "note_on_images", lambda images: "many lose much")
    letterboxing = Preprocessing(image_size=32, resize="letterbox")
    own = WeightSpec("own", Architecture("basic", (1, 1)), letterboxing)
    monkeypatch.setattr(climb_module, "network_of", lambda recipe, context: (own, None))
    pretended(monkeypatch, [0.4, 0.3, 0.2, 0.1])
    found = climb(recipe.replace(resize=None), Context(dataset=dataset))
    assert [rung.name for rung in found.rungs] == NAMES


def test_the_letterboxed_rung_is_not_timed_but_expected_to_take_what_the_cut_one_does(
    recipe, dataset, monkeypatch
):
    monkeypatch.setattr(climb_module, "note_on_images", lambda images: "many lose much")
    pretended(monkeypatch, [0.5, 0.4, 0.3, 0.2, 0.1])
    timed = []

    def time_rung(recipe, context):
        timed.append(recipe.resize)
        return ExpectedTime(float(len(timed)))

    monkeypatch.setattr(time_budget, "time_rung", time_rung)
    found = climb(recipe.replace(resize=None), Context(dataset=dataset))
    assert timed == ["crop"] * 4
    assert [rung.expected_seconds for rung in found.rungs] == [1, 2, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("losses", "kept"), [([0.4, 0.3, 0.2, 0.1], 3), ([0.2, 0.1, 0.3, 0.4], 1), ([3, 1, 2, 1], 1)]
)
def test_the_first_of_the_least_log_losses_is_kept(recipe, dataset, monkeypatch, losses, kept):
    asked = pretended(monkeypatch, losses)
    found = climb(recipe, Context(dataset=dataset))
    assert [rung.kept for rung in found.rungs] == [n == kept for n in range(5)]
    assert found.trained.experiment.recipe == asked[kept][0]
    assert [of for of, _ in asked[:2]] == list(rung_recipes(recipe, dataset, STAGES).values())[:2]
    assert f"'auto' kept {NAMES[kept]!r}" in found.trained.experiment.notes[0]


@pytest.mark.parametrize(
    ("gains", "kept", "remark"),
    [
        ([0.1, 0.1, 0.1, 0.2], "last layers", ""),
        # A gain of 0.16: over one standard error, and not over 1.645.
        (
            [0.4, -0.1, 0.36, -0.02],
            "new head",
            "log loss lower by less than 1.645 standard errors (0.128 each): not kept",
        ),
        ([-0.1, -0.1, -0.1, -0.1], "new head", ""),
    ],
)
def test_steps_take_the_place_of_a_solved_head_where_they_gain_more_than_chance_gives(
    gains, kept, remark, recipe, dataset, monkeypatch
):
    losses = {
        "last_layers": -np.array(gains),
        "full_fine_tune": np.ones(4),
        "all blocks": np.ones(4),
    }
    found = _climbed_by_losses(losses, recipe, dataset, monkeypatch)
    assert [rung.name for rung in found.rungs if rung.kept] == [kept]
    assert found.rungs[2].note == remark
    assert ("these images do not settle" in found.trained.experiment.notes[0]) == bool(remark)


@pytest.mark.parametrize(
    ("worse", "kept", "remark"),
    [
        # Worse by 0.05.
        (
            [0.3, -0.2, 0.1, 0.0],
            "new head on all blocks",
            "log loss higher than that of the head on the features, but by less than a standard error (0.104), and on most data "
            "sets it is lower: preferred",
        ),
        ([0.1, 0.1, 0.1, 0.2], "new head", ""),
        ([-0.1, -0.1, -0.1, -0.2], "new head on all blocks", ""),
    ],
)
def test_the_head_on_all_blocks_is_kept_unless_the_one_on_the_features_is_clearly_better(
    worse, kept, remark, recipe, dataset, monkeypatch
):
    losses = {
        "all blocks": np.array(worse),
        "last_layers": np.ones(4),
        "full_fine_tune": np.ones(4),
    }
    found = _climbed_by_losses(losses, recipe, dataset, monkeypatch)
    assert [rung.name for rung in found.rungs if rung.kept] == [kept]
    assert found.rungs[1].note == remark
    assert {rung.strategy["on"] for rung in found.rungs[2:]} == {
        "features" if kept == "new head" else "all_blocks"
    }


@pytest.mark.parametrize(
    ("of_last", "kept"),
    [(None, "new head on all blocks"), (-0.3, "last layers")],
)
def test_after_a_tie_what_comes_later_has_to_beat_both_heads(
    of_last, kept, recipe, dataset, monkeypatch
):
    # The head on all blocks is worse by 0.05, within its standard error. The last layers are better than it by 0.01, each
    # image alike, which is clear, and worse than the head on the features; or clearly better than both.
    on_all = np.array([0.3, -0.2, 0.1, 0.0])
    last = on_all - 0.01 if of_last is None else np.full(4, of_last)
    losses = {"all blocks": on_all, "last_layers": last, "full_fine_tune": np.ones(4)}
    found = _climbed_by_losses(losses, recipe, dataset, monkeypatch)
    assert [rung.name for rung in found.rungs if rung.kept] == [kept]
    said = "differences that these images do not settle" in found.trained.experiment.notes[0]
    assert said == (kept != "last layers")


def test_a_rung_whose_log_loss_is_no_number_is_displaced(recipe, dataset, monkeypatch):
    pretended(monkeypatch, [np.nan, 0.4, 0.5])
    found = climb(recipe, Context(dataset=dataset))
    assert [rung.kept for rung in found.rungs] == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("name", "value", "trained"),
    # Where stages join one by one no statistics adapt: there is no rung for it.
    [("unfreeze_epochs", 1, 2), ("layer_decay", 0.7, 3), ("l2_sp", 0.1, 3)],
)
def test_what_holds_a_backbone_back_is_for_the_rungs_that_train_it(
    name, value, trained, recipe, dataset, monkeypatch
):
    asked = pretended(monkeypatch, [0.4, 0.3])
    climb(recipe.replace(**{name: value}), Context(dataset=dataset))
    assert [getattr(r, name) for r, _ in asked] == [None, None, *[value] * trained]


def test_all_processes_compare_by_the_losses_of_the_chief(recipe, dataset, monkeypatch):
    budget = time_budget.TimeBudget(recipe, Context(dataset=dataset))
    mine = Candidate(recipe, 0.5, 0.2, 1.0, None, None, np.array([0.1, 0.3]))
    text = json.dumps([0.75, 0.4, [0.3, 0.5]])
    chief = types.SimpleNamespace(is_chief=False, broadcast_text=lambda _: text)
    monkeypatch.setattr(budget, "_processes", chief)
    agreed = budget.agreed(mine)
    assert (agreed.top1, agreed.log_loss, agreed.losses.tolist()) == (0.75, 0.4, [0.3, 0.5])
    chief = types.SimpleNamespace(is_chief=True, broadcast_text=lambda text: text)
    monkeypatch.setattr(budget, "_processes", chief)
    again = budget.agreed(mine)
    assert again.losses.tobytes() == mine.losses.tobytes()


def _climbed_by_losses(added, recipe, dataset, monkeypatch):
    """A climb whose rungs lose what is added by their kind, image by image, to what the first one does."""
    pretended(monkeypatch, [])
    of_first = np.array([0.5, 0.6, 0.7, 0.4])

    def try_out(self, recipe, context):
        name = recipe.strategy.name
        if name == "new_head" and recipe.strategy.on == "all_blocks":
            name = "all blocks"
        losses = of_first + added.get(name, 0.0)
        return Candidate(recipe, 0.5, float(losses.mean()), 1.0, None, None, losses)

    monkeypatch.setattr(Selection, "try_out", try_out)
    return climb(recipe, Context(dataset=dataset))


@pytest.mark.parametrize("balance", ["none", "weights"])
@pytest.mark.parametrize("several", [False, True])
def test_what_images_add_to_the_log_loss_is_it_on_average(recipe, dataset, balance, several):
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (40, 3)).astype(np.float32)
    labels = (logits + random.normal(0, 2, logits.shape)).argmax(axis=1)
    if several:
        labels = np.eye(3, dtype=np.uint8)[labels]
    validation = Split(ArrayImages(np.zeros((40, 8, 8, 3), np.uint8)), labels, np.arange(40))
    one = dataclasses.replace(dataset, validation=validation)
    selection = Selection.of(recipe.replace(class_balance=balance), one)
    _, losses = selection.figures(logits, labels)
    assert losses.shape == (40,)
    calm, weights = logits / fit_temperature(logits, labels), np.ones(labels.shape)
    if balance == "weights":
        weights = selection.class_weights[(labels, np.arange(3)) if several else labels]
    if several:
        probabilities = expit(calm)
        of_each = -np.log(np.where(labels, probabilities, 1 - probabilities))
    else:
        of_each = -log_softmax(calm, axis=1)[np.arange(40), labels]
        assert balance == "weights" or of_each.mean() == pytest.approx(log_loss(calm, labels))
    assert losses.mean() == pytest.approx((of_each * weights).sum() / weights.sum(), rel=1e-5)


def test_fine_tuning_from_another_head_is_another_training(recipe, dataset, monkeypatch, tmp_path):
    folders = []
    for losses in ([0.4, 0.3, 0.2, 0.1], [0.3, 0.4, 0.2, 0.1]):
        asked = pretended(monkeypatch, losses)
        climb(recipe, Context(dataset=dataset, checkpoints=tmp_path))
        folders.append([context.checkpoints for _, context in asked])
    assert folders[0][:2] == folders[1][:2]
    assert not set(folders[0][2:]) & set(folders[1][2:])


@pytest.mark.parametrize(
    ("minutes", "epochs"),
    [
        (None, [None, None, 50, 50, 50]),
        (100, [None, None, 50, 50, 50]),
        (0.5, [None, None, 28, 28, 28]),
        (0.05, [None, None]),
        (0.01, [None]),
    ],
)
def test_a_rung_that_does_not_fit_is_shortened_or_left_out(
    recipe, dataset, monkeypatch, minutes, epochs
):
    # From the head on all blocks, as their recipes say.
    asked = pretended(monkeypatch, [2, 1, 1, 1, 1], ExpectedTime(1.0, 1.0, 50))
    strategy = tl.Auto(minutes=minutes)
    found = climb(recipe.replace(strategy=strategy), Context(dataset=dataset))
    whole = list(rung_recipes(recipe, dataset, STAGES).values())
    expected = [r.replace(epochs=e) if e == 28 else r for r, e in zip(whole, epochs, strict=False)]
    assert [recipe for recipe, _ in asked] == expected
    notes = [rung.note for rung in found.rungs]
    assert notes.count("left out: no time") == 5 - len(epochs)
    assert notes.count("28 epochs: no time for more") == epochs.count(28)


def test_a_climb_that_is_resumed_neither_times_nor_decides_anew(
    recipe, dataset, monkeypatch, tmp_path
):
    recipe = recipe.replace(strategy=tl.Auto(minutes=0.5))
    context = Context(dataset=dataset, checkpoints=tmp_path)
    first = pretended(monkeypatch, [1, 1, 1, 1], ExpectedTime(1.0, 1.0, 50))
    climb(recipe, context)
    second = pretended(monkeypatch, [1, 1, 1, 1])
    monkeypatch.setattr(time_budget, "time_rung", None)
    monkeypatch.setattr(time_budget.time, "monotonic", iter(range(0, 10**6, 1000)).__next__)
    climb(recipe, context)
    assert [r for r, _ in second] == [r for r, _ in first]
    assert [c.checkpoints for _, c in second] == [c.checkpoints for _, c in first]
    assert len({c.checkpoints for _, c in first}) == 5
    (tmp_path / time_budget.FILE).write_text("{")  # damaged: timed anew
    with pytest.raises(TypeError, match="NoneType"):
        climb(recipe, context)


def test_a_training_that_diverges_is_left_out(recipe, dataset, monkeypatch):
    pretended(monkeypatch, [])
    losses = iter([0.5, 0.4])

    def try_out(self, recipe, context):
        if recipe.solver == "gradient":
            raise DivergedError("The loss is nan")
        return Candidate(recipe, 0.5, next(losses), 1.0, None, None)

    monkeypatch.setattr(Selection, "try_out", try_out)
    found = climb(recipe, Context(dataset=dataset))
    assert [rung.kept for rung in found.rungs] == [False, True, False, False, False]
    assert found.rungs[3].note == "left out: The loss is nan"


@pytest.mark.long
def test_with_one_image_a_class_a_new_head_is_trained_and_nothing_compared(recipe, dataset):
    _, first = np.unique(dataset.train.labels, return_index=True)
    few = dataclasses.replace(dataset, train=dataset.train.take(first), validation=None)
    found = climb(recipe, Context(dataset=few))
    assert [(r.name, r.kept, r.top1, r.log_loss) for r in found.rungs] == [
        ("new head", True, None, None)
    ]
    assert found.trained.solved.path is None
    assert "nothing can be compared" in found.trained.experiment.notes[-1]
    assert measured(found.rungs) == []  # so that no plot is drawn


def test_rungs_without_room_are_left_out_and_the_others_climbed(recipe, dataset, monkeypatch):
    pretended(monkeypatch, [])

    def try_out(self, recipe, context):
        if recipe.solver == "lbfgs":
            raise NoRoomError("no room")
        return Candidate(recipe, 0.5, 0.4, 1.0, None, None)

    monkeypatch.setattr(Selection, "try_out", try_out)
    found = climb(recipe, Context(dataset=dataset))
    assert [rung.kept for rung in found.rungs] == [False, False, True, False, False]
    assert found.rungs[0].note == "left out: no room"
    monkeypatch.setattr(
        Selection, "try_out", lambda *_: (_ for _ in ()).throw(NoRoomError("no room"))
    )
    with pytest.raises(tl.InputError, match="No training came to an end: left out: no room"):
        climb(recipe, Context(dataset=dataset))


def test_rates_of_layers_that_a_rung_does_not_train_are_left_to_the_others(recipe, dataset):
    rates = {"stem": 0.1, "conv5_block1": 0.5, "head": 2.0}
    rungs = rung_recipes(recipe.replace(layer_rates=rates), dataset, OF_RESNET)
    assert rungs["new head"].layer_rates is None
    assert dict(rungs["last layers"].layer_rates) == {"conv5_block1": 0.5, "head": 2.0}
    assert dict(rungs["everything"].layer_rates) == rates
    assert rung_recipes(recipe.replace(layer_rates={"stem": 1}), dataset, OF_RESNET)[
        "last layers"
    ].layer_rates is None  # fmt: skip


def test_without_validation_images_a_threshold_is_found_for_new_heads_alone(
    recipe, dataset, monkeypatch
):
    asked = pretended(monkeypatch, [1, 2])
    few = dataclasses.replace(dataset, validation=None)
    found = climb(recipe.replace(find=0.9), Context(dataset=few))
    assert [r.solver for r, _ in asked] == ["lbfgs", "lbfgs"]
    assert "nothing else was climbed" in found.trained.experiment.notes[-1]
    assert list(rung_recipes(recipe.replace(find=0.9), dataset, STAGES)) == NAMES


@pytest.mark.parametrize("epochs", [9, 3])
def test_a_training_that_ran_out_of_time_says_so_and_steps_are_said_to_be_flattered(
    recipe, dataset, monkeypatch, epochs
):
    pretended(monkeypatch, [])
    progress = TrainingProgress(history=[{}] * 3, stopped=True)
    planned = dataclasses.make_dataclass("Planned", ["epochs"])(epochs)
    experiment = dataclasses.make_dataclass("Experiment", ["recipe", "hyperparameters", "notes"])
    made = dataclasses.make_dataclass("Trained", ["experiment", "progress"])
    losses = iter([3.0, 2.0, 1.0, 4.0, 5.0])

    def try_out(self, recipe, context):
        trained = made(experiment(recipe, planned, ()), progress)
        return Candidate(recipe, 0.5, next(losses), 1.0, trained, [])

    monkeypatch.setattr(Selection, "try_out", try_out)
    monkeypatch.setattr(Candidate, "model", lambda self, context: self.trained)
    found = climb(recipe, Context(dataset=dataset))
    said = "stopped after 3 of 9 epochs: no time for more" if epochs == 9 else ""
    assert found.rungs[2].note == said
    notes = found.trained.experiment.notes
    assert "flatters them" in notes[1]
    assert notes[2:] == ((f"last layers: {said}",) if said else ())


def test_whether_statistics_can_adapt_is_decided_by_the_smallest_training(recipe, dataset):
    # All 20 images are a batch that is large enough; without one of five folds of 4 images it is, and of two it is not.
    def names(each):
        chosen = np.concatenate(
            [np.flatnonzero(dataset.train.labels == k)[:each] for k in range(3)]
        )
        few = dataclasses.replace(dataset, train=dataset.train.take(chosen), validation=None)
        return list(rung_recipes(recipe, few, STAGES))

    assert len(np.unique(dataset.train.labels)) == 3
    assert names(7) == NAMES  # 21 images, of which folds leave 5 out
    assert names(6) == NAMES[:4]  # 18, of which they leave 4 out


def test_without_validation_images_a_recipe_is_measured_on_the_folds_it_did_not_see(
    recipe, dataset, monkeypatch
):
    train = dataset.train
    no_validation = dataclasses.replace(dataset, validation=None)
    selection = Selection.of(recipe, no_validation)
    assert selection.trainings == 5
    seen = []

    def train_fold(recipe, context):
        seen.append(set(context.dataset.train.ids))
        assert context.dataset.validation is None
        progress = dataclasses.make_dataclass("Progress", ["seconds"])(2.0)
        return dataclasses.make_dataclass("Trained", ["experiment", "progress"])(None, progress)

    def predict(experiment, split):
        assert not seen[-1] & set(split.ids)
        return np.eye(3, dtype=np.float32)[split.labels] * 5, split.labels

    monkeypatch.setattr(selection_module, "train_and_validate", train_fold)
    monkeypatch.setattr(selection_module, "predict_logits", predict)
    found = selection.try_out(recipe.replace(strategy=tl.FullFineTune()), Context())
    assert (found.top1, found.seconds, found.trained) == (1.0, 10.0, None)
    assert all(len(ids) == pytest.approx(len(train) * 4 / 5, abs=2) for ids in seen)


def test_figures_weigh_classes_alike_where_the_recipe_does(recipe, dataset):
    labels = np.array([0] * 9 + [1])
    few = dataclasses.replace(
        dataset,
        class_names=("a", "b"),
        validation=Split(NoImages(np.zeros((10, 8, 8, 3), np.uint8)), labels, np.arange(10)),
    )
    logits = np.tile([1.0, 0.0], (10, 1))  # it always says "a"
    alike = Selection.of(recipe.replace(class_balance="weights"), few)
    assert alike.figures(logits, labels)[0] == pytest.approx(0.5)
    assert Selection.of(recipe, few).figures(logits, labels)[0] == pytest.approx(0.9)


def test_a_training_stops_after_the_last_epoch_that_leaves_time_for_another(monkeypatch):
    clock = iter([0.0, 10.0, 10.0, 20.0, 20.0, 30.0])
    monkeypatch.setattr(time_budget.time, "monotonic", lambda: next(clock))
    stop = StopInTime(until=35.0)
    stop.set_model(model := dataclasses.make_dataclass("Model", ["stop_training"])(False))
    stopped = []
    for epoch in range(3):
        stop.on_epoch_begin(epoch)
        stop.on_epoch_end(epoch)
        stopped.append(model.stop_training)
    assert stopped == [False, False, True]


def test_epochs_within_a_time():
    expected = ExpectedTime(once=10.0, epoch=2.0, epochs=20)
    assert expected.seconds == 50
    assert [expected.epochs_within(s) for s in (50, 49, 16, 15.9)] == [20, 19, 3, None]
    assert ExpectedTime(once=10.0).epochs_within(9) is None
    assert ExpectedTime(once=10.0).epochs_within(10) == 0
    unfrozen = ExpectedTime(
        once=10.0, epoch=2.0, epochs=20, fewest=6
    )  # the last stage joins in the sixth
    assert [unfrozen.epochs_within(s) for s in (22, 21)] == [6, None]


@pytest.mark.long
def test_timing_a_rung_counts_its_images_and_leaves_no_feature_behind(recipe, dataset, tmp_path):
    context = Context(
        dataset=dataset, networks=NetworkPool(), feature_cache=FeatureCache(folder=tmp_path)
    )
    full = time_rung(recipe.replace(strategy=tl.FullFineTune(), epochs=4), context)
    assert (full.epochs, full.once, full.fewest) == (4, 0.0, 3)
    assert full.epoch > 0
    stages = recipe.replace(strategy=tl.FullFineTune(), epochs=9, unfreeze_epochs=2)
    assert (
        time_rung(stages, context).fewest == 7
    )  # head, conv3, conv2 and the stem, two epochs apart
    probe = time_rung(rung_recipes(recipe, dataset, STAGES)["new head"], context)
    assert probe.epochs == probe.epoch == 0
    assert probe.once > 0
    assert not list(tmp_path.iterdir())


def test_a_single_training_refuses_the_strategy(recipe, dataset):
    with pytest.raises(tl.InputError, match="'auto' chooses between trainings"):
        train_alone(recipe, dataset)
    assert recipe.strategy == tl.Auto()
    with pytest.raises(tl.InputError, match="minutes"):
        tl.Auto(minutes=0)
