"""Samples of tar shards, as WebDataset has them: files that follow each other and share a name up to its first dot.

See https://github.com/webdataset/webdataset, "The WebDataset Format".
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

from tl_toolkit.data.shard_samples import DamagedShardError, ShardSample
from tl_toolkit.data.shard_uri import FIELD, IMAGE, LABEL
from tl_toolkit.data.table_columns import USUAL_NAMES
from tl_toolkit.errors import InputError

IMAGES = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff")
CLS, JSON, TXT = "cls", "json", "txt"
# What stands before the first dot, folders included, and what stands behind it.
NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)
META = re.compile(r"__[^/]*__(/|$)")  # what shards say of themselves
BLOCK = 512
MOST_LABEL_BYTES = 10_000_000  # a file beside an image that is no longer is read


class _NoLabelError(Exception):
    """Why a sample has no label."""


def tar_samples(path: str, options: Mapping[str, str]) -> Iterator[ShardSample]:
    """Reads a shard from its begin to its end.

    Args:
        path: Of the shard.
        options: `image`: the ending of the images, such as `input.jpg`; `label`: that of the labels, such as `txt`; `field`:
            the label's, of a `.json` file.

    Raises:
        DamagedShardError: It is no tar file, or is cut short or damaged behind the samples that were given.
        OSError: It cannot be read.
    """
    key: str | None = None
    files: dict[str, tuple[int, bytes]] = {}
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        for name, ending, offset, length in _members(path, file, size):
            if key is not None and name != key:
                yield _sample(key, files, options)
                files = {}
            key = name
            wanted = (
                length if ending in _image_endings(options) or length <= MOST_LABEL_BYTES else 0
            )
            file.seek(offset)
            files.setdefault(ending, (offset, file.read(wanted)))
    if key is not None:
        yield _sample(key, files, options)


def _members(path: str, file: Any, size: int) -> Iterator[tuple[str, str, int, int]]:
    """Yields (name up to its dot, ending, offset, length) of every file in the shard."""
    try:
        with tarfile.TarFile(fileobj=file, mode="r") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
                parted = NAME.fullmatch(member.name)
                if not member.isreg() or parted is None or META.match(member.name):
                    continue
                if member.issparse():
                    raise DamagedShardError(
                        f"{path!r} stores {member.name!r} with holes left out: write it without --sparse."
                    )
                if member.offset_data + member.size > size:
                    raise DamagedShardError(
                        f"{path!r} is cut short at byte {size:,}, within {member.name!r}, which begins at byte "
                        f"{member.offset:,}."
                    )
                yield parted[1], parted[2].lower(), member.offset_data, member.size
            end = tar.offset
    except (tarfile.TarError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise DamagedShardError(
            f"{path!r} cannot be read as a tar file from about byte {file.tell():,}: {error}."
        ) from error
    _check_end(path, file, end, size)


def _check_end(path: str, file: Any, end: int, size: int) -> None:
    """Refuses a shard without the block of zeros that ends a tar file: where `tarfile` finds no header, it says nothing."""
    file.seek(end)
    block = file.read(BLOCK)
    if len(block) == BLOCK and not any(block):
        return
    reason = "is cut short" if len(block) < BLOCK else "holds no file's header, nor the end,"
    raise DamagedShardError(f"{path!r} {reason} at byte {min(end, size):,}.")


def _image_endings(options: Mapping[str, str]) -> tuple[str, ...]:
    return (options[IMAGE].lower().lstrip("."),) if IMAGE in options else IMAGES


def _sample(
    key: str, files: Mapping[str, tuple[int, bytes]], options: Mapping[str, str]
) -> ShardSample:
    image = next((ending for ending in files if ending in _image_endings(options)), None)
    if image is None:
        first, _ = next(iter(files.values()))
        endings = ", ".join(f".{ending}" for ending in files)
        return ShardSample(key, first, fault=f"no image beside it, only {endings}")
    offset, contents = files[image]
    name = f"{key}.{image}"
    try:
        label, found_in = _label({ending: data for ending, (_, data) in files.items()}, options)
    except _NoLabelError as fault:
        return ShardSample(name, offset, contents, fault=str(fault))
    return ShardSample(name, offset, contents, label, found_in)


def _label(files: Mapping[str, bytes], options: Mapping[str, str]) -> tuple[str, str]:
    """Returns a sample's label, and what it was taken from."""
    field = options.get(FIELD)
    chosen = options.get(LABEL, JSON if field else "").lower().lstrip(".")
    if chosen:
        if chosen not in files:
            raise _NoLabelError(f"no .{chosen} beside it, which should hold its label")
        if chosen.rpartition(".")[2] != JSON:
            return _text(files[chosen], chosen), f".{chosen}"
        name, label = _of_json(files[chosen], chosen, field)
        if name is None:
            raise _NoLabelError(f"its .{chosen} has no field {field or LABEL!r}")
        return label, f"{name!r} of .{chosen}"
    if CLS in files:
        return _text(files[CLS], CLS), f".{CLS}"
    if JSON in files:
        name, label = _of_json(files[JSON], JSON, None)
        if name is not None:
            return label, f"{name!r} of .{JSON}"
    if TXT in files:
        return _text(files[TXT], TXT), f".{TXT}"
    raise _NoLabelError("no label beside it: neither .cls, .json with a label, nor .txt")


def _text(contents: bytes, ending: str) -> str:
    try:
        text = contents.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise _NoLabelError(f"its .{ending} is not UTF-8 text") from error
    if not text or "\n" in text or "\0" in text:
        what = "empty" if not text else "more than one line"
        raise _NoLabelError(f"its .{ending} should hold a label and is {what}")
    return text


def _of_json(contents: bytes, ending: str, field: str | None) -> tuple[str | None, str]:
    """Returns the field that holds the label, and the label; None where no field is known."""
    try:
        values = json.loads(contents)
    except (ValueError, RecursionError) as error:
        raise _NoLabelError(f"its .{ending} is no JSON") from error
    if not isinstance(values, dict):
        raise _NoLabelError(f"its .{ending} holds no fields")
    usual = [name for name in USUAL_NAMES[LABEL] if name in values]
    name = field or (LABEL if LABEL in values else None)
    if name is None and len(usual) > 1:
        raise _NoLabelError(
            f"its .{ending} may have the label in {', '.join(usual)}: choose one with field="
        )
    name = name or next(iter(usual), None)
    if name is None or name not in values:
        return None, ""
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise _NoLabelError(f"its label {value!r} is neither a text nor a whole number")
    return name, str(value)
