"""The positive class is the one that is named, or the rarer one; what does not fit the data is refused."""

import numpy as np
import pytest

import tl_toolkit as tl
from tl_toolkit.data.positive_class import positive_class

RECIPE = tl.Recipe(data="folder:cells", strategy=tl.NewHead())
NAMES = ("defective", "whole")


@pytest.mark.parametrize(
    ("labels", "expected"), [([0, 1, 1], 0), ([0, 0, 1], 1), ([0, 1], 1), ([0], 1)]
)
def test_it_is_the_rarer_one_of_equally_many_the_second(labels, expected):
    assert positive_class(RECIPE, NAMES, np.array(labels)) == expected


def test_a_name_decides():
    recipe = RECIPE.replace(positive_class="whole")
    assert positive_class(recipe, NAMES, np.array([0, 1, 1])) == 1


def test_of_more_classes_there_is_none():
    assert positive_class(RECIPE, ("a", "b", "c"), np.array([0, 1, 2])) is None


@pytest.mark.parametrize(
    ("fields", "names", "message"),
    [
        ({"positive_class": "defectiv"}, NAMES, "Did you mean 'defective'.*defective, whole"),
        ({"positive_class": "d"}, ("a", "b", "c"), "Unknown positive class 'd'.*a, b, c"),
        ({"positive_class": "a"}, ("a", "b", "c"), "is for two classes, and 'folder:cells' has 3"),
        ({"find": 0.9}, ("a", "b", "c"), "`find` is for two classes"),
    ],
)
def test_what_does_not_fit_is_refused(fields, names, message):
    with pytest.raises(tl.InputError, match=message):
        positive_class(RECIPE.replace(**fields), names, np.array([0, 1]))


@pytest.mark.parametrize("find", [0, 1.01, -1])
def test_a_share_that_is_none_is_refused_by_the_recipe(find):
    with pytest.raises(tl.InputError, match="`find` must be over 0 and at most 1"):
        RECIPE.replace(find=find)
