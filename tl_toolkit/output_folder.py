"""The folder that a run leaves behind: its name, and that it is whole or called `NAME.partial`."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import shutil

from tl_toolkit.errors import InputError
from tl_toolkit.recipe import Recipe

DEFAULT_PARENT = pathlib.Path("saved_models")


def default_folder(recipe: Recipe) -> pathlib.Path:
    """A folder under `saved_models/` whose name follows from the recipe, so that a run finds its own."""
    data = re.sub(r"[^A-Za-z0-9]+", "-", pathlib.PurePath(recipe.data).name).strip("-")
    digest = hashlib.sha256(json.dumps(recipe.to_json(), sort_keys=True).encode()).hexdigest()
    return DEFAULT_PARENT / f"{data}-{recipe.strategy.name}-{digest[:8]}"


def partial_folder(folder: pathlib.Path) -> pathlib.Path:
    """The name that an output folder has until it is finished."""
    return folder.with_name(folder.name + ".partial")


def check_output(folder: pathlib.Path, overwrite: bool) -> None:
    """Raises `InputError` where the folder exists and is not to be replaced."""
    if folder.exists() and not overwrite:
        raise InputError(
            f"{str(folder)!r} exists. Choose another output, or replace it with overwrite (on the command "
            "line --overwrite)."
        )
    ancestor = next(parent for parent in folder.absolute().parents if parent.exists())
    if not ancestor.is_dir() or not os.access(ancestor, os.W_OK | os.X_OK):
        reason = "is no folder" if not ancestor.is_dir() else "cannot be written to"
        raise InputError(f"Cannot make {str(folder)!r}: {str(ancestor)!r} {reason}.")


def finish_output(folder: pathlib.Path) -> None:
    """Gives a finished output folder its name, in place of an earlier one."""
    replaced = folder.with_name(folder.name + ".replaced")
    if folder.exists():
        shutil.rmtree(replaced, ignore_errors=True)  # of a run that was killed right here
        folder.rename(replaced)
    partial_folder(folder).rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
