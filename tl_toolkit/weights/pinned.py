"""Which weights a name stood for, so that the same recipe starts from the same weights another day."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from typing import Any

from tl_toolkit.catalog import CATALOG
from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import file_digest
from tl_toolkit.weights import hugging_face, keras_hub_preset, run_folder
from tl_toolkit.weights.resolve import IMAGENET, WeightSource, open_weights


@dataclasses.dataclass(frozen=True)
class PinnedWeights:
    """What a recipe's weights stood for.

    Attributes:
        asked: What the recipe says, such as `"imagenet"`.
        name: What it stood for, such as `"resnet50.npm_in1k"`, `"hf://OWNER/NAME@COMMIT"` or an absolute path.
        sha256: See `contents_digest`.
    """

    asked: str
    name: str
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return dataclasses.asdict(self)


def pin_weights(asked: str, found: WeightSource) -> PinnedWeights:
    """Returns the pin of weights that were found under the name that a recipe gives.

    What the source says of itself is not the name: a run's folder knows which weights the run started from.
    """
    name = asked
    if asked.startswith(hugging_face.SCHEME):
        name = hugging_face.resolved_uri(asked, found.path)
    elif asked == IMAGENET and found.spec is not None:
        name = found.spec.name
    elif asked not in CATALOG and not asked.startswith(keras_hub_preset.SCHEME):
        name = str(found.path.absolute())
    return PinnedWeights(asked, name, contents_digest(found.path))


def open_pinned(pin: PinnedWeights, architecture: str | None = None) -> WeightSource:
    """Opens the weights of a pin.

    Raises:
        InputError: They are no longer available, or their contents have changed.
    """
    try:
        found = open_weights(pin.name, architecture)
    except InputError as error:
        raise InputError(
            f"This recipe ran with the weights {pin.name!r} (asked for as {pin.asked!r}), which cannot be "
            f"opened now: {error} To use other weights, give them with `weights` (--weights)."
        ) from error
    digest = contents_digest(found.path)
    if digest != pin.sha256:
        raise InputError(
            f"This recipe ran with weights {pin.name!r} whose sha256 is {pin.sha256}; "
            f"{str(found.path)!r} now has {digest}. Restore that file, or give the new weights with "
            "`weights` (--weights)."
        )
    return found


def contents_digest(path: pathlib.Path) -> str:
    """Returns the sha256 of a file; of a folder, that of the names and digests of the files that are read.

    Of a run's folder its model and its spec are read; of any other folder every file counts.
    """
    if path.is_file():
        return file_digest(path)
    if run_folder.accepts(path):
        files = [path / name for name in run_folder.FILES]
    else:
        files = sorted(file for file in path.rglob("*") if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file.relative_to(path).as_posix()))
        digest.update(f" {file_digest(file)}\n".encode())
    return digest.hexdigest()
