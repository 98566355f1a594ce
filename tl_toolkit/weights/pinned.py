"""Which weights a name stood for, so that the same recipe starts from the same numbers another day."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from typing import Any

from tl_toolkit.errors import InputError
from tl_toolkit.files.user_cache import file_digest
from tl_toolkit.weights.resolve import WeightSource, open_weights


@dataclasses.dataclass(frozen=True)
class PinnedWeights:
    """What a recipe's weights stood for.

    Attributes:
        asked: What the recipe says, such as `"imagenet"`.
        name: What it stood for, such as `"resnet50.npm_in1k"`, or a path.
        sha256: Of the file; of a folder, of its files' names and digests.
    """

    asked: str
    name: str
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return dataclasses.asdict(self)


def pin_weights(asked: str, found: WeightSource) -> PinnedWeights:
    """Returns the pin of weights that were found under the name that a recipe gives."""
    is_named = found.spec is not None and found.spec.source
    name = found.spec.name if is_named and found.spec else str(found.path.absolute())
    return PinnedWeights(asked, name, contents_digest(found.path))


def open_pinned(pin: PinnedWeights, architecture: str | None = None) -> WeightSource:
    """Opens the weights of a pin.

    Raises:
        InputError: They cannot be had any more, or their contents have changed.
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
    """Returns the sha256 of a file, or of a folder's file names and contents; checkpoints left out."""
    if path.is_file():
        return file_digest(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {file_digest(file)}\n".encode())
    return digest.hexdigest()
