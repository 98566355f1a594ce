"""Retraining the best recipe: on training and validation images, once a seed, whatever was killed."""

import shutil

import pytest

import tl_toolkit as tl
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.tuning import retrain
from tl_toolkit.tuning.trials import read_trials


@pytest.fixture
def split_photos(photos, tmp_path):
    """The photos with a validation folder of their own: 15 and 5 of each class."""
    for folder in photos.iterdir():
        for number in range(20):
            split = "validation" if number >= 15 else "train"
            target = tmp_path / "split" / split / folder.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / f"{number}.jpg", target)
    return tmp_path / "split"


@pytest.mark.long
def test_seeds_train_on_training_and_validation_images_and_are_kept_after_a_kill(
    quick_search, trained, split_photos, monkeypatch
):
    runs, run = [], retrain.run

    def killed_in_the_second(recipe, *arguments, **keywords):
        runs.append(recipe)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return run(recipe, *arguments, **keywords)

    monkeypatch.setattr(retrain, "run", killed_in_the_second)
    arguments = {"recipe": {"data": f"folder:{split_photos}"}, "trials": 1, "retrain": 2}
    with pytest.raises(KeyboardInterrupt):
        quick_search(**arguments)
    result = quick_search(**arguments)
    assert [recipe.seed for recipe in runs] == [3, 4, 4], "a finished seed was trained again"
    first, second = result.retrained
    for final, seed in ((first, 3), (second, 4)):
        assert final.folder == result.folder / "retrained" / f"seed_{seed}"
        assert final.recipe == result.best.recipe.replace(validation_fraction=0.0, seed=seed)
        assert final.validation is None
        assert final.test["examples"] == 9  # a fifth of the 45 in train
        summary = (final.folder / "summary.md").read_text()
        assert "51 training, 0 validation and 9 test images" in summary
        assert (final.folder / "saved_model").is_dir()
    # What was read back is what the run gave.
    assert first.plan == second.plan
    assert [set(epoch) for epoch in first.history] == [set(epoch) for epoch in second.history]
    assert set(first.test) == set(second.test)
    assert 0 < first.seconds < 100


def test_a_divergence_leaves_the_search_where_it_was(quick_search, trained, tmp_path, monkeypatch):
    from tl_toolkit.experiments import run as run_module

    def diverge(recipe, context):
        context.checkpoints.mkdir(parents=True)
        raise DivergedError("The loss is nan at step 1.")

    monkeypatch.setattr(run_module, "train_and_validate", diverge)
    with pytest.raises(tl.InputError, match="The loss is nan"):
        quick_search(trials=2, retrain=1)
    assert len(read_trials(tmp_path / "search.partial" / "trials")) == 2
    assert not list((tmp_path / "search.partial").glob("retrained/*/checkpoints"))
    trained.clear()
    assert len(quick_search(trials=2).trials) == 2
    assert trained == []
