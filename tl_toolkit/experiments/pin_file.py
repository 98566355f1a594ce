"""The companion of a recipe's file: which weights the recipe ran with."""

from __future__ import annotations

import pathlib

from tl_toolkit.errors import InputError
from tl_toolkit.files.checked_json import read_checked_json, write_checked_json
from tl_toolkit.files.manifest import check_file
from tl_toolkit.weights.pinned import PinnedWeights


def write_pin(pin: PinnedWeights | None, recipe_file: pathlib.Path) -> None:
    """Writes what a recipe's weights stood for, next to the recipe's file; nothing for a recipe from scratch."""
    if pin is not None:
        recipe_file.parent.mkdir(parents=True, exist_ok=True)
        write_checked_json(pin_file(recipe_file), pin.to_json())


def read_pin(recipe_file: pathlib.Path) -> PinnedWeights | None:
    """Returns what `write_pin` wrote next to a recipe's file; None if there is nothing.

    Raises:
        InputError: The file is damaged.
    """
    path = pin_file(recipe_file)
    try:
        pin = PinnedWeights(**read_checked_json(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{str(path)!r} is damaged: {error}. It says which weights the recipe ran with. Remove it to let "
            "the recipe choose its weights again."
        ) from error
    check_file(path)
    return pin


def pin_file(recipe_file: pathlib.Path) -> pathlib.Path:
    """Returns the companion of a recipe's file: `recipe.weights.json` of `recipe.json`."""
    return recipe_file.with_suffix(".weights.json")
