"""Which images a model was trained or selected on, so that none of them is ever taken for a test image.

They are identified by their contents: copies, other paths and folders that grew make no difference.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

from tl_toolkit.files.atomic import write_text
from tl_toolkit.files.manifest import check_file

SEEN_IMAGES = pathlib.PurePosixPath("assets.extra", "seen_images.txt")


def write_seen_images(saved_model: pathlib.Path, seen: Iterable[str]) -> None:
    """Writes the digests next to an exported model."""
    write_text(saved_model / SEEN_IMAGES, "".join(f"{digest}\n" for digest in sorted(seen)))


def read_seen_images(saved_model: pathlib.Path) -> set[str]:
    """Returns the digests next to an exported model; none if there is no such file.

    Raises:
        InputError: It is not as it was written.
    """
    path = saved_model / SEEN_IMAGES
    check_file(path, saved_model)
    return set(path.read_text("utf-8").split()) if path.is_file() else set()
