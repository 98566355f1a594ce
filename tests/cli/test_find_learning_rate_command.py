"""`tl-toolkit find-learning-rate` names a command that can be given as it stands."""

import shlex

import tl_toolkit as tl
from tl_toolkit.cli.app import COMMANDS
from tl_toolkit.cli.find_learning_rate import _command
from tl_toolkit.cli.recipe_flags import RecipeFlags, recipe_from


def test_the_command_trains_the_same_recipe_with_the_rate():
    flags = {
        "data": "folder:my photos",
        "strategy": "full-fine-tune",
        "layer_rates": ("stem=0.1", "head=1"),
        "learning_rate": 1.0,
    }
    words = shlex.split(_command(RecipeFlags(**flags), None, 3.3e-4))
    assert words[:2] == ["tl-toolkit", "train"]
    assert words[1] in COMMANDS
    given = {}
    for word in words[2:]:
        if word.startswith("--"):
            given[name := word[2:].replace("-", "_")] = []
        else:
            given[name].append(word)
    assert given == {
        "data": ["folder:my photos"],
        "strategy": ["full-fine-tune"],
        "layer_rates": ["stem=0.1", "head=1"],
        "learning_rate": ["0.00033"],
    }
    recipe = recipe_from(RecipeFlags(**flags), None)
    assert recipe == tl.Recipe(
        data="folder:my photos",
        strategy=tl.FullFineTune(),
        layer_rates={"stem": 0.1, "head": 1.0},
        learning_rate=1.0,
    )
