"""`hf:PATH[?OPTIONS]`: what `datasets` of Hugging Face saved to disk, and Parquet files as its Hub has them."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np

from tl_toolkit.data.dataset import EncodedImages, ImageSource
from tl_toolkit.data.hf_shards import contents_of_parquet, hf_samples, is_parquet_shard
from tl_toolkit.data.opening import AS_USUAL, Opening
from tl_toolkit.data.other_formats import decodable
from tl_toolkit.data.shard_images import ShardImages
from tl_toolkit.data.shard_uri import HF, ShardUri, parse_shard_uri
from tl_toolkit.data.shards import load_shards
from tl_toolkit.errors import InputError
from tl_toolkit.progress import Progress

STATE = "state.json"  # beside the files of one split that `save_to_disk` wrote


def load_hf(argument: str, opening: Opening = AS_USUAL) -> ImageSource:
    """Opens Arrow files, whose images are then read where they lie, or Parquet files, whose images are held in memory.

    Args:
        argument: A folder that `save_to_disk` wrote, of one split or several, or one of Parquet files such as
            `data/train-00000-of-00002.parquet`; a file; or a pattern. `image=` and `label=` name columns; `train=`,
            `validation=` and `test=` are as for `load_wds`.
        opening: See `load_wds`.

    Raises:
        InputError: As for `load_wds`; or the folder holds files of both kinds, or pyarrow is not installed.
    """
    uri = parse_shard_uri(HF, argument)
    splits = {name: _saved(paths) for name, paths in uri.splits().items()}
    kinds = {is_parquet_shard(path) for paths in splits.values() for path in paths}
    if len(kinds) > 1:
        raise InputError(
            f"{str(uri.path)!r} holds Arrow and Parquet files, which may be the same images twice: name those of one kind, "
            "such as hf:FOLDER?train=*.parquet."
        )
    samples = functools.partial(hf_samples, options=uri.options)
    source = load_shards(uri, samples, opening, splits)
    return _in_memory(source, uri, opening.progress) if True in kinds else source


def _saved(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    """Returns the files that a folder's state names, where it has one: other ones are left over, or intermediate.

    Raises:
        InputError: Which rows count stands in a file of its own.
    """
    kept = []
    for path in paths:
        try:
            state = json.loads((path.parent / STATE).read_bytes())
            named = {entry["filename"] for entry in state["_data_files"]}
        except (OSError, ValueError, KeyError, TypeError):
            kept.append(path)
            continue
        if state.get("_indices_data_files"):
            raise InputError(
                f"{str(path.parent)!r} was saved with a list of the rows that count, as old versions of `datasets` do: load and "
                "save it again with a new one."
            )
        if path.name in named:
            kept.append(path)
    return kept


def _in_memory(source: ImageSource, uri: ShardUri, progress: Progress) -> ImageSource:
    splits = {
        name: split
        for name in ("train", "validation", "test")
        if (split := getattr(source, name)) is not None
    }
    with progress.stage("Reading images", total=sum(map(len, splits.values()))) as stage:
        held: dict[str, Any] = {}
        for name, split in splits.items():
            held[name] = dataclasses.replace(split, images=_held(split.images, uri))
            stage.advance(len(split))
    return dataclasses.replace(source, **held)


def _held(images: ShardImages, uri: ShardUri) -> EncodedImages:
    contents = np.empty(len(images), object)
    for shard in np.unique(images.shard):
        packed = contents_of_parquet(str(images.shards[shard]), uri.options)
        for row in np.flatnonzero(images.shard == shard):
            start = int(images.offset[row])
            encoded = packed[start : start + int(images.length[row])].tobytes()
            contents[row] = decodable(encoded)
    return EncodedImages(contents)
