"""`wds:PATH[?OPTIONS]` and `tfrecord:PATH[?OPTIONS]`: images in tar shards, as WebDataset has them, and in TFRecord files."""

from __future__ import annotations

import functools
import os
import pathlib
import re

import numpy as np

from tl_toolkit.catalog import TEST, TRAIN, VALIDATION
from tl_toolkit.data.dataset import ImageSource, Split
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.labelled_files import notes_on_copies
from tl_toolkit.data.opening import AS_USUAL, Opening
from tl_toolkit.data.record_shards import record_samples
from tl_toolkit.data.shard_images import ShardImages
from tl_toolkit.data.shard_index import Samples, ShardIndex, index_shards
from tl_toolkit.data.shard_samples import NO_NUMBER
from tl_toolkit.data.shard_uri import FIELD, IMAGE, LABEL, TFRECORD, WDS, ShardUri, parse_shard_uri
from tl_toolkit.data.tar_shards import tar_samples
from tl_toolkit.errors import InputError

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
NEAR_DUPLICATES = "near-duplicates in shards may come to stand in several splits: only copies of one image are kept together"


def load_wds(argument: str, opening: Opening = AS_USUAL) -> ImageSource:
    """Opens tar shards: reads them once to find and check the images, which are then read in any order.

    Args:
        argument: A folder of shards, one, or a pattern such as `shards/train-{000..009}.tar`. Shards of a split are those that
            `train=`, `validation=` and `test=` name (patterns, from the folder on), else those with its name in theirs. Of one
            sample, `image=` is the ending of the image, `label=` that of the file with the label, `field=` its field in a
            `.json`; else the label is in the `.cls`, the `.json` (`label`, or another name that `csv:` knows) or the `.txt`.
        opening: How they are opened. Bad are damaged images, images without a label, copies of one image in two classes,
            and what lies behind a place where a shard is damaged.

    Returns:
        The source; whole numbers as classes in their order, other classes in alphabetical order; licence unknown.

    Raises:
        InputError: A shard or an image cannot be read, or there are fewer than two classes.
    """
    uri = parse_shard_uri(WDS, argument)
    samples = functools.partial(tar_samples, options=uri.options)
    return load_shards(uri, samples, opening)


def load_tfrecord(argument: str, opening: Opening = AS_USUAL) -> ImageSource:
    """Opens TFRecord shards of `tf.train.Example`, as `load_wds` opens tar shards.

    Args:
        argument: As for `load_wds`; `image=` and `label=` name features. Else these are `image/encoded`, `image` or
            `image_raw`, and `image/class/text`, `image/class/label`, `label` or `class`.
        opening: See `load_wds`.

    Raises:
        InputError: As for `load_wds`.
    """
    uri = parse_shard_uri(TFRECORD, argument)
    samples = functools.partial(record_samples, options=uri.options)
    return load_shards(uri, samples, opening)


def load_shards(
    uri: ShardUri,
    samples: Samples,
    opening: Opening,
    splits: dict[str, list[pathlib.Path]] | None = None,
) -> ImageSource:
    """Opens shards of any kind.

    Args:
        uri: Of the shards.
        samples: Reads one.
        opening: See `load_wds`.
        splits: The shards of each split, training first; None: those that the URI says.

    Raises:
        InputError: As for `load_wds`.
    """
    splits = splits or uri.splits()
    paths = [os.path.abspath(path) for some in splits.values() for path in some]
    asked = {name: uri.options[name] for name in (IMAGE, LABEL, FIELD) if name in uri.options}
    indices = index_shards(paths, samples, uri.kind, asked, opening.progress)
    bad = [line for path, index in zip(paths, indices, strict=True) for line in _bad(path, index)]
    damaged = [str(index.damage) for index in indices if index.damage]
    notes = [f"labels are those of {found_in}" for found_in in _label_places(indices, uri)]
    class_names = _class_names(indices, uri, [*damaged, *bad])
    shards = np.array(paths, object)
    made: dict[str, Split] = {}
    first = first_id = 0
    for split, some in splits.items():
        images, labels = _joined(shards, indices, first, len(some), class_names)
        is_sound, contradictions = _contradictions(images, labels)
        bad += contradictions
        images, labels = images.take(np.flatnonzero(is_sound)), labels[is_sound]
        made[split] = Split.of(images, labels, first_id, groups=images.digests())
        first, first_id = first + len(some), first_id + len(labels)
    if (damaged or bad) and opening.finds_all:
        raise InputError(_first_of([*damaged, *bad]))
    _refuse_absent(made, class_names, uri)
    digests = {split: images.groups for split, images in made.items() if images.groups is not None}
    if len(splits) > 1:
        counts = ", ".join(f"{len(some)} {split}" for split, some in splits.items())
        notes.append(f"shards of each split: {counts}")
    return ImageSource(
        class_names=class_names,
        train=made[TRAIN],
        validation=made.get(VALIDATION),
        test=made.get(TEST),
        groups=np.unique(digests[TRAIN], return_inverse=True)[1],
        notes=(
            *(f"not read to its end: {line}" for line in damaged),
            *(f"skipped {line}" for line in bad),
            *notes_on_copies(digests),
            *notes,
            NEAR_DUPLICATES,
        ),
    )


def _bad(path: str, index: ShardIndex) -> list[str]:
    """Returns a line for each sample that cannot be used."""
    return [
        f"{name} at byte {offset:,} of {printable(path)!r}: {reason}"
        for offset, name, reason in zip(
            index.bad_offset.tolist(), index.bad_name.tolist(), index.reason.tolist(), strict=True
        )
    ]


def _first_of(faults: list[str]) -> str:
    more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
    return f"{faults[0].rstrip('.')}.{more} Repair the shards, or skip what is bad in them with on_bad_image='skip'."


def _label_places(indices: list[ShardIndex], uri: ShardUri) -> list[str]:
    """Returns what the labels are taken from; raises `InputError` where that is not the same everywhere."""
    places = sorted({place for index in indices for place in index.found_in.tolist()})
    if len(places) > 1:
        raise InputError(
            f"Labels in {str(uri.path)!r} are taken from {' and from '.join(places)}: choose one with label=NAME in the URI."
        )
    return places


def _class_names(indices: list[ShardIndex], uri: ShardUri, faults: list[str]) -> tuple[str, ...]:
    number_of: dict[str, int] = {}
    for index in indices:
        for name, number in zip(index.names.tolist(), index.class_numbers.tolist(), strict=True):
            known = number_of.setdefault(name, number)
            if known != number and NO_NUMBER not in (known, number):
                raise InputError(
                    f"The label {name!r} in {str(uri.path)!r} stands for the classes {known} and {number}: take the numbers, "
                    "with label=image/class/label in the URI."
                )
    if len(number_of) < 2:
        found = ", ".join(number_of) or "none"
        first = f" {_first_of(faults)}" if faults else ""
        raise InputError(
            f"{str(uri.path)!r} must hold images of at least two labels. Found: {found}.{first}"
        )
    if all(WHOLE_NUMBER.fullmatch(name) for name in number_of):
        return tuple(sorted(number_of, key=lambda name: (int(name), name)))
    return tuple(sorted(number_of))


def _joined(
    shards: np.ndarray,
    indices: list[ShardIndex],
    first: int,
    count: int,
    class_names: tuple[str, ...],
) -> tuple[ShardImages, np.ndarray]:
    """Returns the images of `count` shards from the `first` on, and int64[n], their classes."""
    number_of = {name: number for number, name in enumerate(class_names)}
    some = indices[first : first + count]
    labels = [
        np.array([number_of[name] for name in index.names.tolist()], np.int64)[index.label]
        for index in some
    ]
    lengths = [len(index) for index in some]
    images = ShardImages(
        shards,
        np.repeat(np.arange(first, first + count, dtype=np.int32), lengths),
        np.concatenate([index.offset for index in some]),
        np.concatenate([index.length for index in some]),
        np.concatenate([index.digest for index in some]),
    )
    return images, np.concatenate(labels)


def _contradictions(images: ShardImages, labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Finds copies of one image in two classes.

    Returns:
        bool[n], whether an image has no such copy; and a line for each that has.
    """
    _, first, group = np.unique(images.digests(), return_index=True, return_inverse=True)
    differs = np.flatnonzero(labels != labels[first][group])
    contradicted, at = np.unique(group[differs], return_index=True)
    first_other = dict(zip(contradicted.tolist(), differs[at].tolist(), strict=True))
    is_sound = ~np.isin(group, contradicted)
    lines = []
    for index in np.flatnonzero(~is_sound).tolist():
        own = int(group[index])
        is_first_class = labels[index] == labels[first[own]]
        other = first_other[own] if is_first_class else int(first[own])
        lines.append(
            f"the image at {_where(images, index)}: the same image is also in another class, at "
            f"{_where(images, other)}"
        )
    return is_sound, lines


def _where(images: ShardImages, index: int) -> str:
    path = str(images.shards[images.shard[index]])
    return f"byte {int(images.offset[index]):,} of {printable(path)!r}"


def _refuse_absent(splits: dict[str, Split], class_names: tuple[str, ...], uri: ShardUri) -> None:
    for name, split in splits.items():
        counts = np.bincount(split.labels, minlength=len(class_names))
        if not counts.all():
            absent = class_names[int(counts.argmin())]
            raise InputError(
                f"Class {absent!r} in {str(uri.path)!r} has no image in the split {name!r}."
            )
