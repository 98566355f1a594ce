"""What a recipe reads of the user's: files, folders, and the list of images that its weights have seen."""

from __future__ import annotations

import contextlib
import pathlib

from tl_toolkit.catalog import CATALOG
from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.label_table import without_label_options
from tl_toolkit.data.seen_images import read_seen_images
from tl_toolkit.data.shard_uri import KINDS, parse_shard_uri
from tl_toolkit.data.table_uri import ROOT, parse_table_uri
from tl_toolkit.errors import InputError
from tl_toolkit.export.saved_model_layout import SAVED_MODEL
from tl_toolkit.recipe import DEFAULT_WEIGHTS, Recipe


def inputs_of(recipe: Recipe) -> list[pathlib.Path]:
    """Returns the files and folders of the user's that a recipe reads."""
    scheme, _, argument = recipe.data.partition(":")
    names = [argument] if scheme == "folder" else []
    if scheme == "csv":
        with contextlib.suppress(InputError):  # opening it says what is wrong with it
            table = parse_table_uri(without_label_options(argument))
            names += [str(table.path), *([str(table.root)] if ROOT in table.options else [])]
    if scheme in KINDS:
        with contextlib.suppress(InputError):
            names += [str(path) for path in parse_shard_uri(scheme, argument).inputs()]
    weights = recipe.start
    if weights is not None and weights not in (DEFAULT_WEIGHTS, *CATALOG) and ":" not in weights:
        names.append(weights)
    paths = []
    for name in names:
        with contextlib.suppress(InputError, OSError):  # opening it says what is wrong with it
            if (path := user_path(name)).exists():
                paths.append(path)
    return paths


def seen_by_the_weights(recipe: Recipe) -> set[str]:
    """Digests of the images that the run behind these weights learned from or was selected by.

    Raises:
        InputError: The run's list of them is damaged.
    """
    if recipe.weights is None:
        return set()
    try:
        path = user_path(recipe.weights)
        is_place = path.exists()
    except (InputError, OSError):  # opening it says what is wrong with it
        return set()
    if not is_place:  # a name
        return set()
    return read_seen_images(path / SAVED_MODEL) | read_seen_images(path.parent / SAVED_MODEL)
