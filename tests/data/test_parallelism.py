"""No pipeline of ours has the tuning thread that the end of its iterator could wait for."""

import pytest

import tl_toolkit as tl
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.evaluate import predict_logits
from tl_toolkit.experiments.train_and_validate import train_and_validate
from tl_toolkit.transfer.feature_cache import FeatureCache


@pytest.mark.long  # trainings, so that no pipeline of one is forgotten
@pytest.mark.parametrize(
    ("strategy", "pipelines"),
    [
        # Training and validation images' views, batches of their features.
        pytest.param(tl.NewHead(), 4, marks=pytest.mark.long),
        (tl.FullFineTune(), 2),  # images decoded once, batches of them
    ],
)
def test_a_training_and_its_test_iterate_over_nothing_that_is_tuned(
    strategy, pipelines, photo_recipe, tmp_path, tuned_pipelines
):
    recipe = photo_recipe.replace(strategy=strategy, epochs=2)
    context = Context(feature_cache=FeatureCache(tmp_path))
    experiment = train_and_validate(recipe, context).experiment
    predict_logits(experiment, experiment.dataset.test)
    assert len(tuned_pipelines) >= pipelines
    assert not any(tuned_pipelines)
