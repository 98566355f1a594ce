"""`search.json`: what an unfinished search is, so that it is resumed, or joined by workers, as the same one.

Without it no trial could be gone on with, so there is a copy for the case that it is damaged.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import time
from typing import Any

from tl_toolkit.devices.process_group import ProcessGroup
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.written_files import CHECKPOINTS, SEARCH, WRITTEN
from tl_toolkit.files.checked_json import read_checked_json, write_checked_json
from tl_toolkit.transfer.network import open_recipe_weights
from tl_toolkit.tuning.space import Space
from tl_toolkit.tuning.tuner import TUNER
from tl_toolkit.tuning.workers import TUNER_ID
from tl_toolkit.weights.pinned import PinnedWeights, pin_weights

SEARCH_FILE = "search.json"
COPY = pathlib.PurePath(TUNER, SEARCH_FILE)
WEIGHTS = "weights"  # in that file: what the recipe's weights stood for at the start
SECONDS_TO_WAIT_FOR_CHIEF = 600


def resolve_weights(
    space: Space,
    context: Context,
    partial: pathlib.Path,
    identity: dict[str, Any],
    processes: ProcessGroup,
) -> PinnedWeights | None:
    """Returns what the weights of a search stand for: as given, as at its start, or as found now."""
    recipes = [space.recipe_at({"strategy": name}) for name in space.strategies]
    recipe = next((r for r in recipes if r.start is not None), None)
    if recipe is None:
        return None
    before = read_identity(partial)
    is_resumed = all(before.get(name) == value for name, value in identity.items())
    pin = context.weights or (pin_in(before) if is_resumed else None)
    if pin is None or pin.asked != recipe.start:
        found = open_recipe_weights(recipe, None, context.progress)
        pin = pin_weights(str(recipe.start), found) if found is not None else None
    text = processes.broadcast_text(json.dumps(pin and pin.to_json()))
    return pin_in({WEIGHTS: json.loads(text)})


def pin_in(identity: dict[str, Any]) -> PinnedWeights | None:
    """Returns what the weights of a search stood for when it started; None from scratch."""
    pin = identity.get(WEIGHTS)
    return PinnedWeights(**pin) if pin else None


def read_identity(partial: pathlib.Path) -> dict[str, Any]:
    """Returns what the folder says of its unfinished search; nothing where there is none.

    Raises:
        InputError: What it says is damaged, and so is the copy.
    """
    damage = None
    for path in (partial / SEARCH_FILE, partial / COPY):
        try:
            return read_checked_json(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            damage = damage or error
    if damage is None:
        return {}
    raise InputError(
        f"{str(partial / SEARCH_FILE)!r} is damaged: {damage}. Remove {str(partial)!r} to begin the search anew."
    ) from damage


def claim(partial: pathlib.Path, identity: dict[str, Any], overwrite: bool) -> None:
    """Makes the folder this search's, or raises `InputError` if it is another's."""
    before = read_identity(partial)
    if before:
        different = [name for name in identity if before.get(name) != identity[name]]
        if different and overwrite:
            _drop_search(partial)
        elif different:
            raise InputError(
                f"{str(partial)!r} holds an unfinished search that differs in: {', '.join(different)}. "
                "Choose another output, or drop it with overwrite (on the command line --overwrite)."
            )
    for path in (partial / SEARCH_FILE, partial / COPY):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checked_json(path, identity)


def _drop_search(partial: pathlib.Path) -> None:
    """Removes what the search wrote; the folder stays claimed. Its identity goes last, should this be killed."""
    for name in (*(WRITTEN[SEARCH] - {SEARCH_FILE}), TUNER, CHECKPOINTS, SEARCH_FILE):
        path = partial / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def wait_for_chief(partial: pathlib.Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Waits until the chief has made the folder this search's, and returns what it wrote."""
    identity, started = json.loads(json.dumps(identity)), time.monotonic()
    while not (found := read_identity(partial)) or identity != {
        name: found.get(name) for name in identity
    }:
        if time.monotonic() - started > SECONDS_TO_WAIT_FOR_CHIEF:
            raise InputError(
                f"No chief has started this search in {str(partial)!r}: give all processes the same command "
                f"and the same folder, and one of them a {TUNER_ID} that begins with 'chief'."
            )
        time.sleep(0.2)
    return found
