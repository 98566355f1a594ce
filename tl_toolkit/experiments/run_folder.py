"""The folder that a run, a comparison or a search leaves behind, and what of it may ever be replaced.

While it is written it is called `NAME.partial`; finished, it is renamed to `NAME`. A file in it, `MARKER`, says
that this toolkit made it and lists every file that it put there. Nothing without that file is ever removed. The
manifest, which is written last, says what was in each file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import filelock
import tensorflow as tf

from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.left_behind import is_made_by_system
from tl_toolkit.devices.process_group import LOST, ProcessGroup, explain_lost_workers
from tl_toolkit.errors import InputError, is_disk_full
from tl_toolkit.experiments.written_files import (
    CHECKPOINTS,
    RUN,
    WRITTEN,
)
from tl_toolkit.files.atomic import write_json
from tl_toolkit.files.manifest import MANIFEST, list_anew, write_manifest
from tl_toolkit.files.user_cache import cache_folder
from tl_toolkit.recipe import Recipe

DEFAULT_PARENT = pathlib.Path("saved_models")
MARKER = "tl_toolkit.json"


def default_folder(recipe: Recipe) -> pathlib.Path:
    """Returns a folder under `saved_models/` whose name follows from the recipe, so that a run resumes."""
    data = re.sub(r"[^A-Za-z0-9]+", "-", pathlib.PurePath(recipe.data).name).strip("-")
    digest = hashlib.sha256(json.dumps(recipe.to_json(), sort_keys=True).encode()).hexdigest()
    return DEFAULT_PARENT / f"{data}-{recipe.strategy.name}-{digest[:8]}"


def partial_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns the name that an output folder has until it is finished."""
    return folder.with_name(folder.name + ".partial")


def final_name(folder: pathlib.Path) -> str:
    """Returns how an output is called once everything that it is a part of is finished."""
    return str(pathlib.Path(*(part.removesuffix(".partial") for part in folder.parts)))


def output_folder(output: str | pathlib.Path) -> pathlib.Path:
    """Returns an output as all processes that write it spell it."""
    folder = user_path(os.fspath(output))
    return resolved(output) if folder.name in ("", "..") or folder.is_symlink() else folder


def resolved(path: str | pathlib.Path) -> pathlib.Path:
    """Returns the one spelling of a path: absolute, without `~`, `..` and links."""
    return pathlib.Path(os.path.realpath(user_path(os.fspath(path))))


def check_output(
    output: str | pathlib.Path, overwrite: bool, reads: Iterable[pathlib.Path] = ()
) -> None:
    """Refuses an output folder that would cost the user something, in every spelling.

    Args:
        output: The folder.
        overwrite: Whether a finished output of that name may be replaced.
        reads: Files and folders of the user's that the work reads.

    Raises:
        InputError: The folder exists and is not to be replaced, is not one of this toolkit's, is, holds or lies
            in what is read, is or holds a home folder or repository, or cannot be made.
    """
    folder = resolved(output)
    _check_place(output, folder, list(reads))
    if folder.exists() or folder.is_symlink():
        if not overwrite:
            raise InputError(
                f"{str(output)!r} exists. Choose another output, or replace it with overwrite (on the command "
                "line --overwrite)."
            )
        _check_replaceable(folder)
    ancestor = next(parent for parent in folder.parents if parent.exists())
    if not ancestor.is_dir() or not os.access(ancestor, os.W_OK | os.X_OK):
        reason = "is not a folder" if not ancestor.is_dir() else "cannot be written to"
        raise InputError(f"Cannot make {str(output)!r}: {str(ancestor)!r} {reason}.")


@contextlib.contextmanager
def shared_output(
    output: str | pathlib.Path,
    kind: str,
    overwrite: bool,
    processes: ProcessGroup,
    reads: Iterable[pathlib.Path] = (),
) -> Iterator[pathlib.Path]:
    """Yields the folder on the chief, and elsewhere a scratch folder of its name; all leave it together.

    Args:
        output: The folder.
        kind: `RUN`, `COMPARISON`, `CROSS_VALIDATION` or `SEARCH`.
        overwrite: As for `check_output`.
        processes: Those of the run.
        reads: As for `check_output`.

    Raises:
        InputError: As `check_output`; another process writes the folder; or an unfinished output of
            another kind.
        LostWorkerError: Another process is gone, and what the chief writes is not finished.
    """
    if processes.is_chief:
        with sole_writer(output, kind, overwrite, reads) as folder:
            with explain_lost_workers(processes), _explain_disk_errors(output):
                yield folder
            with contextlib.suppress(*LOST):  # it is finished, whoever is gone now
                processes.barrier()
        return
    with explain_lost_workers(processes), tempfile.TemporaryDirectory() as scratch:
        yield pathlib.Path(scratch, resolved(output).name)
        processes.barrier()  # a chief that is lost in its export is lost to all


@contextlib.contextmanager
def sole_writer(
    output: str | pathlib.Path, kind: str, overwrite: bool, reads: Iterable[pathlib.Path] = ()
) -> Iterator[pathlib.Path]:
    """Within it no other process of this machine writes the folder, however it spells it; see `shared_output`.

    Yields:
        The folder as the user spells it, without `~`.
    """
    check_output(output, overwrite, reads)
    folder = output_folder(output)
    partial = partial_folder(folder)
    made = [parent for parent in partial.parents if not parent.exists()]
    with _lock(folder):
        check_output(output, overwrite, reads)  # what was finished while the lock was waited for
        _claim_partial(partial, kind, overwrite)
        try:
            yield folder
        finally:
            _drop_empty(partial, made)


def finish_output(folder: pathlib.Path, kind: str = RUN) -> None:
    """Gives a finished output folder its name, in place of an earlier finished one.

    Raises:
        InputError: What has that name now is not to be replaced; the result stays in `NAME.partial`.
    """
    partial, replaced = partial_folder(folder), folder.with_name(folder.name + ".replaced")
    # A part of another output, such as the best run of a comparison, has no marker yet and is all ours.
    overwrite = _read_marker(partial).get("overwrite", True)
    if folder.exists() and not overwrite:
        raise InputError(
            f"{str(folder)!r} has appeared since this {kind} started. Its result is in {str(partial)!r}: rename "
            "that, or give the same command again with overwrite (on the command line --overwrite)."
        )
    files = sorted(p.relative_to(partial).as_posix() for p in partial.rglob("*") if p.is_file())
    ours = [file for file in files if file.partition("/")[0] in WRITTEN[kind]]
    if replaced.exists():  # of a run that was killed right here
        _check_replaceable(replaced)
        shutil.rmtree(replaced)
    if folder.exists():
        _check_replaceable(folder)
    write_json(partial / MARKER, {"kind": kind, "finished": True, "files": [*ours, MANIFEST]})
    # Checkpoints go when all is done.
    kept = [file for file in ours if not file.startswith(f"{CHECKPOINTS}/")]
    write_manifest(partial, [*kept, MARKER])
    if folder.exists():
        folder.rename(replaced)
    try:
        partial.rename(folder)
    except OSError:
        if replaced.exists():
            replaced.rename(folder)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def list_written_again(folder: pathlib.Path, file: str) -> None:
    """Makes a file that was written into a finished folder one of those that this toolkit put there."""
    claim_files(folder, [file])
    list_anew(folder, [file])


def claim_files(folder: pathlib.Path, files: Iterable[str]) -> None:
    """Makes files that will be written into a finished folder ours, so that they are even if that is interrupted."""
    marker = _read_marker(folder)
    claimed = {*marker.get("files", ()), *files}
    if marker.get("finished") and claimed != {*marker.get("files", ())}:
        write_json(folder / MARKER, marker | {"files": sorted(claimed)})
        list_anew(folder, [MARKER])


def check_written_by_us(folder: pathlib.Path, files: Iterable[str]) -> None:
    """Refuses to write files into a finished folder where one of that name is there that this toolkit did not write.

    Raises:
        InputError: There is one.
    """
    ours = _read_marker(folder).get("files", ())
    for file in files:
        if os.path.lexists(folder / file) and file not in ours:
            raise InputError(
                f"{str(folder / file)!r} was not written by this toolkit, and would be replaced: move it away."
            )


def _check_place(
    output: str | pathlib.Path, folder: pathlib.Path, reads: list[pathlib.Path]
) -> None:
    if folder == pathlib.Path.cwd().resolve():
        raise InputError(
            f"The output {str(output)!r} is the current folder: name a new folder, such as 'my_run'."
        )
    for path in map(resolved, reads):
        is_inside = path.is_dir() and path in folder.parents
        if folder == path or folder in path.parents or is_inside:
            relation = "is" if folder == path else "lies in" if is_inside else "holds"
            raise InputError(
                f"The output {str(output)!r} {relation} {str(path)!r}, which this command reads: choose a folder "
                "outside it."
            )
    home = pathlib.Path(os.path.realpath(os.path.expanduser("~")))  # "~" itself where there is none
    if folder == home or folder in home.parents:
        raise InputError(
            f"The output {str(output)!r} is or holds your home folder: name a new one."
        )
    if (folder / ".git").exists():
        raise InputError(f"The output {str(output)!r} is a repository: name a new folder.")


def _check_replaceable(folder: pathlib.Path) -> None:
    """Raises `InputError` unless a folder is a finished output and holds nothing else."""
    marker = _read_marker(folder)
    if not folder.is_dir() or not marker.get("finished"):
        raise InputError(
            f"{str(folder)!r} was not made by this toolkit, or not finished, so overwrite does not replace it. "
            "Choose another output, or remove it yourself."
        )
    ours = {*marker.get("files", ()), MARKER}
    foreign = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or not path.is_dir())
        and not is_made_by_system(path.name)
        and path.relative_to(folder).as_posix() not in ours
    ]
    if foreign:
        raise InputError(
            f"{str(folder)!r} holds files that this toolkit did not write, such as {foreign[0]!r}, so overwrite "
            "does not replace it. Move them away, or choose another output."
        )


def _claim_partial(partial: pathlib.Path, kind: str, overwrite: bool) -> None:
    if partial.exists() and not partial.is_dir():
        raise InputError(
            f"{str(partial)!r} is not a folder, and this {kind} would be written there: choose another output."
        )
    for unfinished in partial.glob(
        f"{MARKER}.*.partial"
    ):  # of a process that was killed just there
        unfinished.unlink()
    if partial.exists() and any(partial.iterdir()):
        found = _read_marker(partial).get("kind")
        if found is None and (partial / MARKER).is_file():
            raise InputError(
                f"{str(partial / MARKER)!r} is damaged, so nothing says what that folder holds. If it is this "
                f'unfinished {kind}, write {{"kind": "{kind}"}} into that file to go on with it; else choose '
                "another output."
            )
        if found != kind:
            what = f"holds an unfinished {found}" if found else "was not made by this toolkit"
            raise InputError(
                f"{str(partial)!r} {what}, and this {kind} would be written there: choose another output, or "
                "remove that folder."
            )
    partial.mkdir(parents=True, exist_ok=True)
    write_json(partial / MARKER, {"kind": kind, "finished": False, "overwrite": overwrite})


def _drop_empty(partial: pathlib.Path, made: list[pathlib.Path]) -> None:
    """Removes a partial folder in which nothing was written, and the folders that were made for it."""
    if not partial.is_dir() or [path.name for path in partial.iterdir()] != [MARKER]:
        return
    (partial / MARKER).unlink()
    partial.rmdir()
    with contextlib.suppress(OSError):  # somebody else uses it now
        for parent in made:
            parent.rmdir()


def _read_marker(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what the marker says; nothing where there is none, or it is not whole."""
    try:
        marker = json.loads((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return {}
    is_whole = isinstance(marker, dict) and isinstance(marker.get("files", []), list)
    return marker if is_whole else {}


@contextlib.contextmanager
def _explain_disk_errors(output: str | pathlib.Path) -> Iterator[None]:
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if not is_disk_full(error):
            raise
        raise InputError(
            f"The disk is full, and {str(output)!r} is not finished. Make room and give the same command "
            "again: it resumes from the last checkpoint."
        ) from error


@contextlib.contextmanager
def _lock(folder: pathlib.Path) -> Iterator[None]:
    digest = hashlib.sha256(str(resolved(folder)).encode(errors="surrogateescape")).hexdigest()
    path = cache_folder() / "locks" / f"{digest[:32]}.lock"
    lock: contextlib.AbstractContextManager = contextlib.nullcontext()
    with contextlib.suppress(OSError, NotImplementedError):  # no cache to lock in
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
