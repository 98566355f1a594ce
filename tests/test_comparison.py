"""`compare`: what it measures, what it selects by, and what it leaves."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

import tl_toolkit as tl
from tl_toolkit import comparison
from tl_toolkit.comparison import StrategyResult, run_comparison
from tl_toolkit.experiment import evaluate, open_recipe_data, train_and_validate


@pytest.mark.slow
def test_the_comparison_measures_every_strategy_and_exports_the_best(
    photo_recipe, tiny_weights, tmp_path
):
    output, screen = tmp_path / "comparison", io.StringIO()
    results = run_comparison(
        photo_recipe.data,
        str(tiny_weights),
        labels_per_class=4,
        test_fraction=0.3,
        seeds=2,
        output=output,
        console=Console(file=screen, width=120),
        epochs=2,
        strategies=(tl.NewHead(), tl.FullFineTune()),
    )
    assert [result.strategy for result in results] == ["new_head", "full_fine_tune"]
    assert {path.name for path in output.iterdir()} == {"best", "comparison.json", "comparison.png"}
    written = [
        StrategyResult(**row) for row in json.loads((output / "comparison.json").read_text())
    ]
    assert [row.strategy for row in written] == [row.strategy for row in results]
    best = max(results, key=lambda result: np.mean(result.selection_top1))
    assert (output / "best" / "recipe.json").exists()
    assert tl.Recipe.load(output / "best" / "recipe.json").strategy.name == best.strategy
    assert f"Best, by images that are no test images: {best.strategy}." in screen.getvalue()
    metrics = json.loads((output / "best" / "metrics.json").read_text())
    assert metrics["test"]["top1"] == best.test_top1[0]
    assert results[0].trained_parameters == 27
    assert results[1].trained_parameters == 116 + 304 + 944 + 27


def test_without_validation_the_other_seeds_images_select(photo_recipe):
    recipes = [photo_recipe.replace(labels_per_class=4, epochs=1, seed=seed) for seed in (0, 1)]
    datasets = [open_recipe_data(recipe) for recipe in recipes]
    trained = train_and_validate(recipes[0])
    others = ~np.isin(datasets[1].train.ids, datasets[0].train.ids)
    assert 0 < others.sum() <= 12
    assert not np.isin(datasets[1].train.ids[others], datasets[0].test.ids).any()
    expected = evaluate(trained.experiment, datasets[1].train.take(np.flatnonzero(others)))["top1"]
    assert comparison._selection_top1(trained, datasets) == pytest.approx(expected)


def test_with_validation_its_images_select(photo_recipe):
    trained = train_and_validate(photo_recipe.replace(epochs=1))
    assert comparison._selection_top1(trained, []) == trained.validation["top1"]


def test_from_scratch_has_the_network_of_the_weights():
    fields = {"data": "digits", "labels_per_class": 5}
    recipe = comparison._recipe(tl.FromScratch(), "digits", 7, fields)
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
        seed=7,
    )


@pytest.mark.parametrize(("seeds", "labels"), [(0, None), (1, 5)])
def test_too_few_seeds_are_refused_before_any_work(tmp_path, seeds, labels):
    with pytest.raises(tl.InputError, match="`seeds` must be at least 1, and 2 with"):
        run_comparison(
            "digits", "digits", labels_per_class=labels, test_fraction=0.5, seeds=seeds,
            output=tmp_path / "out",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
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
