"""The folder that a run leaves behind: its name, and that it is whole or called `NAME.partial`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

import filelock

from tl_toolkit.devices.processes import LOST, Processes, lost_workers_explained
from tl_toolkit.errors import InputError
from tl_toolkit.recipe import Recipe
from tl_toolkit.user_cache import cache_folder

DEFAULT_PARENT = pathlib.Path("saved_models")


def default_folder(recipe: Recipe) -> pathlib.Path:
    """A folder under `saved_models/` whose name follows from the recipe, so that a run finds its own."""
    data = re.sub(r"[^A-Za-z0-9]+", "-", pathlib.PurePath(recipe.data).name).strip("-")
    digest = hashlib.sha256(json.dumps(recipe.to_json(), sort_keys=True).encode()).hexdigest()
    return DEFAULT_PARENT / f"{data}-{recipe.strategy.name}-{digest[:8]}"


def partial_folder(folder: pathlib.Path) -> pathlib.Path:
    """The name that an output folder has until it is finished."""
    return folder.with_name(folder.name + ".partial")


@contextlib.contextmanager
def shared_output(
    folder: pathlib.Path, overwrite: bool, processes: Processes
) -> Iterator[pathlib.Path]:
    """Yields the folder on the chief, elsewhere one of its name that is thrown away; all leave it together.

    Raises:
        InputError: As `sole_writer`.
        LostWorkerError: Another process is gone, and what the chief writes is not finished.
    """
    if processes.is_chief:
        with sole_writer(folder, overwrite):
            with lost_workers_explained(processes):
                yield folder
            with contextlib.suppress(*LOST):  # it is finished, whoever is gone now
                processes.wait_for_all()
        return
    with lost_workers_explained(processes), tempfile.TemporaryDirectory() as scratch:
        yield pathlib.Path(scratch, folder.name)
        processes.wait_for_all()  # a chief that is lost in its export is lost to all


@contextlib.contextmanager
def sole_writer(folder: pathlib.Path, overwrite: bool) -> Iterator[None]:
    """Within it no other process of this machine writes the folder.

    Raises:
        InputError: It exists and is not to be replaced, it cannot be made, or another process writes it.
    """
    _check(folder, overwrite)
    digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()
    path = cache_folder() / "locks" / f"{digest[:32]}.lock"
    lock = contextlib.nullcontext()  # where the cache cannot be written or locked
    with contextlib.suppress(OSError, NotImplementedError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = filelock.FileLock(path, timeout=0).acquire()
        except filelock.Timeout:
            raise InputError(
                f"Another process is writing {str(partial_folder(folder))!r}: wait for it or end it, or choose "
                "another output."
            ) from None
    with lock:
        yield


def _check(folder: pathlib.Path, overwrite: bool) -> None:
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
