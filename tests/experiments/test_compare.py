"""`compare`: what it measures, what it selects by, and what it leaves."""

import importlib
import json
import math
import types

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.experiments import compare as comparison
from tl_toolkit.experiments import recipes_to_compare
from tl_toolkit.experiments.compare import compare
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import evaluate
from tl_toolkit.experiments.recipes_to_compare import comparison_recipes
from tl_toolkit.experiments.run_folder import MARKER
from tl_toolkit.experiments.strategy_result import (
    StrategyResult,
    _selection_figures,
    against_best,
    differences_in_words,
    selection_score,
)
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.files.manifest import MANIFEST
from tl_toolkit.strategies import strategy_label


@pytest.mark.slow
def test_the_comparison_measures_every_strategy_and_exports_the_best(
    photo_recipe, tiny_weights, tmp_path
):
    output = tmp_path / "comparison"
    recipes = comparison_recipes(
        photo_recipe.data,
        str(tiny_weights),
        (tl.NewHead(), tl.FullFineTune()),
        labels_per_class=4,
        test_fraction=0.3,
        epochs=1,
    )
    found = compare(recipes, seeds=2, output=output, context=Context(photos=False))
    results = found.results
    assert [result.strategy for result in results] == ["new_head", "full_fine_tune"]
    assert {path.name for path in output.iterdir()} == {
        "best",
        "comparison.json",
        "comparison.png",
        "report.html",
        MANIFEST,
        MARKER,
    }
    verified = tl.verify(output)
    assert (verified.is_whole, verified.unknown) == (True, ())
    assert {"comparison.json", "best/metrics.json", "best/saved_model/saved_model.pb"} < set(
        verified.intact
    )
    written = [
        StrategyResult(**row) for row in json.loads((output / "comparison.json").read_text())
    ]
    assert [row.strategy for row in written] == [row.strategy for row in results]
    best = max(results, key=selection_score)
    assert (output / "best" / "recipe.json").exists()
    assert tl.Recipe.load(output / "best" / "recipe.json").strategy.name == best.strategy
    assert found.best == best
    assert found.test_images == 18
    other = next(result for result in results if result is not best)
    assert (best.p_value, best.difference) == (None, 0.0)
    assert 0 <= other.p_value <= 1
    assert other.difference == pytest.approx(np.mean(other.test_top1) - np.mean(best.test_top1))
    assert found.title == f"{photo_recipe.data}, 4 labels a class, weights tiny"
    assert found.example[0] in ("blue", "green", "red")
    assert found.saved_model.is_dir()
    metrics = json.loads((output / "best" / "metrics.json").read_text())
    assert metrics["test"]["top1"] == best.test_top1[0]
    assert results[0].trained_parameters == 27
    assert results[1].trained_parameters == 116 + 304 + 944 + 27


@pytest.mark.long
def test_without_validation_the_other_seeds_images_select(photo_recipe):
    recipes = [photo_recipe.replace(labels_per_class=4, epochs=1, seed=seed) for seed in (0, 1)]
    datasets = [open_recipe_data(recipe) for recipe in recipes]
    trained = train_and_validate(recipes[0])
    others = ~np.isin(datasets[1].train.ids, datasets[0].train.ids)
    assert 0 < others.sum() <= 12
    assert not np.isin(datasets[1].train.ids[others], datasets[0].test.ids).any()
    expected = evaluate(trained.experiment, datasets[1].train.take(np.flatnonzero(others)))["top1"]
    assert _selection_figures(trained, datasets)[0] == pytest.approx(expected)


@pytest.mark.slow
def test_with_validation_its_images_select(photo_recipe):
    trained = train_and_validate(photo_recipe.replace(epochs=1))
    assert _selection_figures(trained, []) == (
        trained.validation["top1"],
        trained.validation["log_loss"],
    )


def test_from_scratch_has_the_network_of_the_weights():
    recipes = comparison_recipes("digits", "digits", labels_per_class=5)
    assert [strategy_label(recipe.strategy) for recipe in recipes] == [
        "new_head",
        "new_head, on=all_blocks",
        "last_layers",
        "full_fine_tune",
        "from_scratch",
    ]
    recipe = recipes[-1]
    assert recipe == tl.Recipe(
        data="digits",
        strategy=tl.FromScratch(),
        backbone="resnet18",
        variant="v1.5",
        width=16,
        stem="cifar",
        bn_epsilon=1e-5,
        image_size=32,
        labels_per_class=5,
    )


def test_a_network_of_any_name_can_be_compared_from_imagenet(monkeypatch):
    source = types.SimpleNamespace(spec=tl.list_weights("resnet50")[-1])
    monkeypatch.setattr(recipes_to_compare, "open_weights", lambda name, backbone, frozen: source)
    scratch = comparison_recipes("digits", "imagenet", backbone="resnet50", image_size=64)[-1]
    assert (scratch.backbone, scratch.variant, scratch.image_size) == ("resnet50", "v1", 64)


SCRATCH = tl.Recipe(data="digits", strategy=tl.FromScratch(), backbone="resnet18", epochs=1)


@pytest.mark.parametrize(
    ("recipes", "seeds", "message"),
    [
        ([SCRATCH], 0, "`seeds` must be at least 1, and at least 2 with"),
        (
            [SCRATCH.replace(labels_per_class=5)],
            1,
            "`seeds` must be at least 1, and at least 2 with",
        ),
        ([SCRATCH, SCRATCH.replace(epochs=2)], 1, "must be of different strategies"),
        ([SCRATCH, tl.Recipe(data="digits", strategy="auto")], 1, "not 'auto' itself"),
        (
            [SCRATCH, tl.Recipe(data="mnist5k", strategy=tl.NewHead())],
            1,
            "on the same images, but differ in `data`",
        ),
    ],
)
def test_recipes_that_cannot_be_compared_are_refused_before_any_work(
    recipes, seeds, message, tmp_path
):
    with pytest.raises(tl.InputError, match=message):
        compare(recipes, seeds=seeds, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_comparison_that_was_stopped_resumes(
    photo_recipe, finished_run, tmp_path, monkeypatch, no_saved_model
):
    # The export is not what is tested: any classifier of these classes answers for the best one.
    monkeypatch.setattr(
        comparison, "load_classifier", lambda _: tl.load_classifier(finished_run.folder)
    )
    recipes = [photo_recipe.replace(epochs=2)]
    recipes += [photo_recipe.replace(epochs=1, strategy=tl.LastLayers("conv3"))]
    whole = compare(recipes, seeds=1, output=tmp_path / "whole").results
    trainings = []

    def train_and_note(recipe, context):
        trainings.append(recipe.strategy.name)
        if len(trainings) == 2:
            raise KeyboardInterrupt
        return train_and_validate(recipe, context)

    monkeypatch.setattr(comparison, "train_and_validate", train_and_note)
    with pytest.raises(KeyboardInterrupt):
        compare(recipes, seeds=1, output=tmp_path / "stopped")
    assert (tmp_path / "stopped.partial" / "checkpoints" / "new_head, seed 0").is_dir()
    results = compare(recipes, seeds=1, output=tmp_path / "stopped").results
    assert [result.test_top1 for result in results] == [result.test_top1 for result in whole]
    assert results[0].seconds != whole[0].seconds  # of the training that was kept
    assert {path.name for path in (tmp_path / "stopped").iterdir()} == {
        "best",
        "comparison.json",
        "comparison.png",
        "report.html",
        MANIFEST,
        MARKER,
    }


@pytest.mark.long
@pytest.mark.parametrize("strategy", [tl.NewHead(), tl.FullFineTune()], ids=lambda s: s.name)
def test_five_labels_a_class_are_enough_with_the_weights_that_ship(strategy):
    accuracies = []
    for seed in range(2):
        recipe = tl.Recipe(
            data="digits",
            strategy=strategy,
            weights="digits",
            labels_per_class=5,
            test_fraction=0.5,
            seed=seed,
        )
        trained = train_and_validate(recipe)
        accuracies.append(evaluate(trained.experiment, trained.experiment.dataset.test)["top1"])
    assert np.mean(accuracies) >= 0.9
    assert min(accuracies) >= 0.8


def test_defaults_follow_the_data(monkeypatch, photos):
    asked = []

    def open_weights(name, backbone, frozen):
        asked.append((name, backbone, frozen))
        return types.SimpleNamespace(spec=tl.list_weights("resnet50")[-1])

    monkeypatch.setattr(recipes_to_compare, "open_weights", open_weights)
    for data, weights in ((f"folder:{photos}", "imagenet"), ("digits", "digits")):
        recipes = comparison_recipes(data)
        assert [recipe.start for recipe in recipes] == [weights] * 4 + [None]
        assert asked.pop() == (weights, "resnet50", True)  # as the first strategy, a new head
    comparison_recipes("digits", strategies=[tl.FullFineTune(), tl.FromScratch()])
    assert asked.pop() == ("digits", "resnet50", False)


def test_an_output_that_is_refused_is_refused_before_any_work(photo_recipe, photos, tmp_path):
    unread = photo_recipe.replace(weights=str(tmp_path / "nowhere"))
    with pytest.raises(tl.InputError, match="which this command reads"):
        compare([unread], seeds=1, output=photos, overwrite=True)


def test_strategies_of_equal_accuracy_are_told_apart_by_their_log_loss():
    def result(name, top1, log_loss):
        return StrategyResult(name, (0.5,), top1, log_loss, (1.0,), 1)

    first = result("a", (0.8, 0.9), (0.4, 0.4))
    better = result("b", (0.8, 0.9), (0.3, 0.4))
    surer = result("c", (0.8, 0.89), (0.1, 0.1))
    assert max([first, better, surer], key=selection_score) is better


def results_of(answers):
    """Results with those test accuracies."""
    return [
        StrategyResult(name, tuple(map(np.mean, of_seeds)), (0.0,), (0.0,), (1.0,), 1)
        for name, of_seeds in answers.items()
    ]


def test_seeds_are_pooled_by_image_and_are_not_taken_for_more_images():
    """Five seeds that answer alike say no more than one of them."""
    base = np.arange(100) < 70
    better = (np.arange(100) < 78) & (np.arange(100) != 3)
    one = against_best(results_of(a := {"a": [base], "b": [better]}), "b", a)
    five = against_best(results_of(a := {"a": [base] * 5, "b": [better] * 5}), "b", a)
    exact = 2 * sum(math.comb(9, k) for k in (0, 1)) / 2**9
    assert one[0].p_value == pytest.approx(exact)
    assert five[0].p_value == pytest.approx(exact)
    assert five[0].difference == pytest.approx(-0.07)
    assert (five[1].p_value, five[1].difference) == (None, 0.0)


def test_several_strategies_have_their_p_values_corrected_and_said_in_words():
    n = np.arange(200)
    answers = {"a": [n < 100], "b": [n < 150], "c": [n < 152], "d": [n < 144], "e": [n < 160]}
    found = {r.strategy: r for r in against_best(results_of(answers), "b", answers)}
    assert found["a"].p_value == pytest.approx(4 * 2 / 2**50)
    assert found["e"].p_value == pytest.approx(3 * 2 / 2**10)
    assert found["d"].p_value == pytest.approx(2 * 2 / 2**6)
    assert found["c"].p_value == pytest.approx(0.5)
    assert differences_in_words(list(found.values()), "b", 200) == (
        "On these 200 test images, a is less often right than b beyond chance; e is more often right than b beyond "
        "chance; c and d cannot be told from b."
    )
    assert differences_in_words([found["b"]], "b", 200) == ""


@pytest.mark.long
def test_the_end_of_a_training_is_saved_where_others_follow(photo_recipe, tmp_path, monkeypatch):
    module = importlib.import_module("tl_toolkit.experiments.train_and_validate")
    train, saved = module.train, []

    def recorded(*arguments, **keywords):
        progress = train(*arguments, **keywords)
        saved.append(bool(list(keywords["folder"].glob("*.index"))))
        return progress

    monkeypatch.setattr(module, "train", recorded)
    recipe = photo_recipe.replace(epochs=1)
    tl.run(recipe, tmp_path / "run", context=Context(checkpoint_seconds=3600.0))
    context = Context(checkpoint_seconds=3600.0)
    compare([recipe], seeds=1, output=tmp_path / "comparison", context=context)
    assert saved == [False, True]
