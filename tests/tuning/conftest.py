"""What the tests of searches share: a search of a few small trials."""

import pytest

from tl_toolkit.tuning.search import search


@pytest.fixture
def quick_search(photo_recipe, tmp_path):
    """Runs a search of three epochs a trial; keyword `recipe` holds changes of the recipe."""

    def run(recipe=None, **arguments):
        changed = photo_recipe.replace(
            **{"epochs": 3, "batch_size": None, "learning_rate": None, **(recipe or {})}
        )
        arguments = {"trials": 3, "tuner": "random", "output": tmp_path / "search", **arguments}
        return search(changed, **arguments)

    return run
