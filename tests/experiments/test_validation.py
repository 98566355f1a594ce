"""The validation figures of a trained model are those of the weights that it holds."""

import pytest

import tl_toolkit as tl
from tl_toolkit.experiments import prepare
from tl_toolkit.experiments import train_and_validate as module
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import evaluate


@pytest.mark.long
@pytest.mark.parametrize("resumed", [False, True])
def test_the_figures_of_the_selected_weights_are_not_measured_twice(
    photo_recipe, tmp_path, monkeypatch, resumed
):
    recipe = photo_recipe.replace(
        strategy=tl.FullFineTune(), epochs=3, learning_rate=0.05, validation_fraction=0.4
    )
    context = Context(checkpoints=tmp_path)
    if resumed:
        module.train_and_validate(recipe, context)
    passes, make = [], prepare.make_predictor

    def make_counted(model):
        predict = make(model)
        return lambda batches: passes.append(1) or predict(batches)

    monkeypatch.setattr(prepare, "make_predictor", make_counted)
    trained = module.train_and_validate(recipe, context)
    assert len(passes) == (1 if resumed else 3)
    best = trained.progress.history[trained.progress.best_epoch]
    assert best["val_loss"] == min(
        m["val_loss"] for m in trained.progress.history if m["val_top1"] == best["val_top1"]
    )
    assert trained.validation == evaluate(trained.experiment, trained.experiment.dataset.validation)
    assert trained.validation["log_loss"] == best["val_loss"]
