"""What tests of searches share: searches whose trainings are pretended, and a few small real ones."""

import types

import keras
import pytest
from pretended import figures

from tl_toolkit.data.open import open_recipe_data
from tl_toolkit.experiments.context import Context
from tl_toolkit.training.loop import DivergedError
from tl_toolkit.tuning import hypermodel
from tl_toolkit.tuning.search import search


@pytest.fixture
def trained(monkeypatch):
    """Trainings are pretended, and listed here: (recipe, context). A learning rate over 1000 diverges."""
    calls = []

    def pretend(recipe, context):
        calls.append((recipe, context))
        if recipe.learning_rate > 1e3:
            raise DivergedError("The loss is nan: the learning rate is most likely too high.")
        found = figures(recipe)
        names = {"val_top1": "top1", "val_balanced_accuracy": "balanced_accuracy"}
        validation = {names.get(name, "log_loss"): value for name, value in found.items()}
        return types.SimpleNamespace(validation=validation)

    monkeypatch.setattr(hypermodel, "train_and_validate", pretend)
    # They leave nothing in Keras, and collecting garbage takes longer than all else.
    monkeypatch.setattr(keras.backend, "clear_session", lambda free_memory=True: None)
    return calls


@pytest.fixture(scope="session")
def photo_dataset(photo_recipe):
    return open_recipe_data(photo_recipe)


@pytest.fixture
def quick_search(photo_recipe, photo_dataset, tmp_path):
    """Runs a search of three epochs a trial; keyword `recipe` holds changes of the recipe."""

    def run(recipe=None, **arguments):
        changed = photo_recipe.replace(
            **{"epochs": 3, "batch_size": None, "learning_rate": None, **(recipe or {})}
        )
        is_same = not {"data", "validation_fraction"} & set(recipe or {})
        arguments = {
            "trials": 3,
            "tuner": "random",
            "output": tmp_path / "search",
            "context": Context(dataset=photo_dataset if is_same else None),
            **arguments,
        }
        return search(changed, **arguments)

    return run
