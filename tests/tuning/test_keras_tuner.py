"""The hyper-model under tuners that are not ours."""

import keras_tuner
import pytest
import tensorflow as tf
from pretended import figures

import tl_toolkit as tl
from tl_toolkit.experiments.prepare import prepare
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.tuning import hypermodel as module
from tl_toolkit.tuning.hypermodel import RecipeHyperModel, figures_of

OBJECTIVE = keras_tuner.Objective("val_loss", "min")


@pytest.fixture
def hypermodel(photo_recipe):
    recipe = photo_recipe.replace(epochs=2, batch_size=None, learning_rate=None)
    return RecipeHyperModel(recipe, {"batch_size": [8, 16]})


@pytest.mark.long
def test_a_users_own_tuner_in_and_out_of_a_strategys_scope(hypermodel, tmp_path):
    tuner = keras_tuner.RandomSearch(
        hypermodel,
        objective=OBJECTIVE,
        max_trials=2,
        seed=1,
        directory=tmp_path,
        distribution_strategy=tf.distribute.MirroredStrategy(["CPU:0"]),
    )
    tuner.search(verbose=0)
    trials = tuner.oracle.get_best_trials(2)
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    best = hypermodel.recipe_at(trials[0].hyperparameters)
    figures = figures_of(train_and_validate(best))
    assert trials[0].score == pytest.approx(figures["val_loss"], rel=1e-4)


@pytest.mark.long
def test_hyperbands_epochs_are_those_that_are_trained(hypermodel, trained, tmp_path, monkeypatch):
    pretend = module.train_and_validate

    def with_model(recipe, context):
        result = pretend(recipe, context)
        result.model = prepare(recipe, context).model
        return result

    monkeypatch.setattr(module, "train_and_validate", with_model)
    tuner = keras_tuner.Hyperband(
        hypermodel, objective=OBJECTIVE, max_epochs=3, seed=1, directory=tmp_path
    )
    tuner.search(verbose=0)
    trials = tuner.oracle.get_best_trials(10)
    assert {t.hyperparameters.get("tuner/epochs") for t in trials} == {1, 3}
    best = hypermodel.recipe_at(trials[0].hyperparameters)
    assert best.epochs == trials[0].hyperparameters.get("tuner/epochs")
    assert {recipe.epochs for recipe, _ in trained} == {1, 3}
    assert trials[0].score == figures(best)["val_loss"]


def test_fit_says_what_it_does_not_take(hypermodel):
    hp = keras_tuner.HyperParameters()
    model = hypermodel.build(hp)
    assert set(hp.values) == {"batch_size", "learning_rate"}
    with pytest.raises(tl.InputError, match="no argument 'validation_data'"):
        hypermodel.fit(hp, model, validation_data=None)


@pytest.mark.slow
def test_mistakes_of_ours_end_the_search_of_any_tuner(hypermodel, tmp_path, monkeypatch):
    def mistake(recipe, context):
        raise tl.InputError("Something is wrong with the images.")

    monkeypatch.setattr("tl_toolkit.tuning.hypermodel.train_and_validate", mistake)
    tuner = keras_tuner.RandomSearch(hypermodel, OBJECTIVE, 2, directory=tmp_path)
    with pytest.raises(keras_tuner.errors.FatalError, match="wrong with the images"):
        tuner.search(verbose=0)
