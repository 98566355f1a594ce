"""Which of two classes is the positive one, that is to be found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tl_toolkit.data.labels import are_several, check_recipe_of_several
from tl_toolkit.errors import InputError, unknown_name
from tl_toolkit.recipe import Recipe


def positive_class(recipe: Recipe, class_names: Sequence[str], labels: np.ndarray) -> int | None:
    """Returns the number of the positive class; None where there are not two classes.

    Args:
        recipe: Names it; where it does not, it is the rarer one, of equally many the second.
        class_names: In the order of the labels.
        labels: int64[n], of the training images; uint8[n, labels] of photos with several labels, which have none.

    Raises:
        InputError: The recipe names no class of these, or asks for what only two classes have.
    """
    if are_several(labels):
        check_recipe_of_several(recipe)
        return None
    if recipe.positive_class is not None and recipe.positive_class not in class_names:
        raise unknown_name("positive class", recipe.positive_class, class_names)
    if len(class_names) != 2:
        for name in ("positive_class", "find"):
            if getattr(recipe, name) is not None:
                raise InputError(
                    f"`{name}` is for two classes, and {recipe.data!r} has {len(class_names)}: leave it out. "
                    f"Received: {getattr(recipe, name)!r}"
                )
        return None
    if recipe.positive_class is not None:
        return list(class_names).index(recipe.positive_class)
    first, second = np.bincount(labels, minlength=2)
    return 0 if first < second else 1
