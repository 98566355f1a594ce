"""One image of a shard with its label, as the readers of tar and TFRecord shards give it."""

from __future__ import annotations

import dataclasses

from tl_toolkit.errors import InputError

NO_NUMBER = -1


@dataclasses.dataclass(frozen=True, slots=True)
class ShardSample:
    """An image and its label.

    Attributes:
        name: What it is called in its shard, for messages.
        offset: Where the image begins in the shard, in bytes.
        contents: The image file.
        label: The label as text.
        found_in: What the label was taken from, such as `".cls"`.
        number: The label's number, where the sample has one beside the text; else `NO_NUMBER`.
        fault: Why the sample cannot be used; "" where nothing is known against it.
    """

    name: str
    offset: int
    contents: bytes = b""
    label: str = ""
    found_in: str = ""
    number: int = NO_NUMBER
    fault: str = ""


class DamagedShardError(InputError):
    """A shard cannot be read on from some place."""


def refuse_compressed(path: str) -> None:
    """Raises `InputError` for a compressed shard.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        begin = file.read(6)
    for magic, name in COMPRESSED.items():
        if begin.startswith(magic):
            raise InputError(
                f"{path!r} is compressed ({name}), so that no image in it can be read by itself: decompress it. Images are "
                "compressed already, and shards of them become hardly smaller."
            )


COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
