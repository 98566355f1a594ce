"""What stands behind `wds:`, `tfrecord:` and `hf:`: shards, the split that each belongs to, and options."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import urllib.parse

from tl_toolkit.catalog import SPLIT_ALIASES, SPLITS, TRAIN
from tl_toolkit.data.file_names import path_in_text, user_path
from tl_toolkit.data.file_patterns import files_of_pattern
from tl_toolkit.data.left_behind import is_left_behind_file, is_left_behind_folder
from tl_toolkit.data.uri_options import parse_options
from tl_toolkit.errors import InputError

WDS, TFRECORD, HF = KINDS = "wds", "tfrecord", "hf"
IMAGE, LABEL, FIELD = "image", "label", "field"
OPTIONS = {
    WDS: (IMAGE, LABEL, FIELD, *SPLITS),
    TFRECORD: (IMAGE, LABEL, *SPLITS),
    HF: (IMAGE, LABEL, *SPLITS),
}
# Names of shards in a folder; compressed ones too, so that reading them says why they cannot be used.
SHARD_NAMES = {
    WDS: re.compile(r".*\.(tar|tgz|tar\.\w+)", re.IGNORECASE),
    TFRECORD: re.compile(r".*\.tfrecords?([-.].*)?|.*-\d+-of-\d+", re.IGNORECASE),
    # `datasets` leaves what it computed meanwhile as cache-….arrow beside what was saved.
    HF: re.compile(r"(?!cache-|indices\.).*\.(arrow|parquet)", re.IGNORECASE),
}
PATTERN = re.compile(r"[*\[{]")
WORDS = re.compile(r"[a-z]+")


@dataclasses.dataclass(frozen=True)
class ShardUri:
    """Shards as a user names them.

    Attributes:
        kind: One of `KINDS`.
        path: A folder, a file, or a pattern of files; see `files_of_pattern`.
        options: By name, those of `OPTIONS[kind]` that are given.
    """

    kind: str
    path: pathlib.Path
    options: dict[str, str]

    @property
    def folder(self) -> pathlib.Path:
        """Where the patterns of the options start from: the folder, or the one above the first part that is a pattern."""
        if self.path.is_dir():
            return self.path
        above = self.path.parents
        return next((top for top in above if not PATTERN.search(str(top))), above[-1])

    def splits(self) -> dict[str, list[pathlib.Path]]:
        """Returns the shards of each split, training first.

        Raises:
            InputError: There are none, one is in two splits, or their names leave it open which split they are.
        """
        named = {name: self.options[name] for name in SPLITS if name in self.options}
        found = {
            name: files_of_pattern(self.folder / user_path(path_in_text(pattern)))
            for name, pattern in named.items()
        }
        if TRAIN in found and not self.path.is_dir():
            raise InputError(
                f"{self.path.name!r} and train={named[TRAIN]} both name training shards: give the folder and train=, or the "
                "pattern alone."
            )
        if TRAIN not in found:
            shards = self._shards()
            elsewhere = {path.resolve() for some in found.values() for path in some}
            if self.path.is_dir():
                shards = [path for path in shards if path.resolve() not in elsewhere]
            found = {TRAIN: shards, **found} if named else _by_names(shards, self.folder)
        _refuse_shared(found)
        if not found[TRAIN]:
            raise InputError(f"{str(self.path)!r} holds no shards to train on.")
        return found

    def without_folders(self) -> str:
        """Returns the URI's part behind the colon without what tells where on a disk the shards lie."""
        shown = {
            name: pathlib.PurePath(value).name if name in SPLITS else value
            for name, value in self.options.items()
        }
        quoted = [f"{name}={urllib.parse.quote(value)}" for name, value in shown.items()]
        return "?".join([self.path.name, *(["&".join(quoted)] if quoted else [])])

    def inputs(self) -> list[pathlib.Path]:
        """Returns the folder, or the shards, that are read; those that are there."""
        if self.path.is_dir():
            return [self.path]
        try:
            return [path for some in self.splits().values() for path in some]
        except InputError:  # opening it says what is wrong with it
            return []

    def _shards(self) -> list[pathlib.Path]:
        if not self.path.is_dir():
            return files_of_pattern(self.path)
        shards: list[pathlib.Path] = []
        for parent, folders, names in os.walk(self.path, followlinks=True, onerror=_refuse):
            kept = [folder for folder in folders if not is_left_behind_folder(folder)]
            folders[:] = sorted(kept, key=os.fsencode)  # in place: where `os.walk` goes next
            shards += [
                pathlib.Path(parent, name)
                for name in sorted(names, key=os.fsencode)
                if SHARD_NAMES[self.kind].fullmatch(name) and not is_left_behind_file(name)
            ]
        return shards


def parse_shard_uri(kind: str, argument: str) -> ShardUri:
    """Parts `PATH?NAME=VALUE&NAME=VALUE`; values are percent-decoded.

    Args:
        kind: One of `KINDS`.
        argument: What follows the colon. A path that holds a question mark is one where there is such a file or folder.

    Raises:
        InputError: An option is unknown, given twice, or empty.
    """
    path, query = argument, ""
    if not user_path(argument).exists():
        path, _, query = argument.partition("?")
    hint = f"Options stand behind the path: {kind}:{path}?validation=PATTERN&test=PATTERN"
    options = parse_options(query, OPTIONS[kind], argument, "option of shards", hint)
    return ShardUri(kind, user_path(path), options)


def _by_names(shards: list[pathlib.Path], top: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Returns the shards by the split that their names, or their folders' below the top, begin with; else all are one."""
    of_shard = [_split_named(path.relative_to(top)) for path in shards]
    named = {split for split in of_shard if split is not None}
    if TRAIN not in named:
        if len(named) > 1:
            raise InputError(
                f"The shards in {str(top)!r} are of {' and '.join(sorted(named))} by their names, and none is of {TRAIN}: say "
                "which are, with train=PATTERN."
            )
        return {TRAIN: shards}
    if None in of_shard:
        loose = shards[of_shard.index(None)]
        raise InputError(
            f"{loose.name!r} is of no split by its name, and others in {str(top)!r} are: name the shards of each with "
            "train=PATTERN&validation=PATTERN&test=PATTERN."
        )
    return {
        split: [path for path, own in zip(shards, of_shard, strict=True) if own == split]
        for split in SPLITS
        if split in named
    }


def _split_named(path: pathlib.Path) -> str | None:
    """Returns the split whose name is a word of a shard's path, the last one."""
    words = WORDS.findall(str(path).lower())
    found = [SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES]
    return found[-1] if found else None


def _refuse_shared(splits: dict[str, list[pathlib.Path]]) -> None:
    split_of: dict[pathlib.Path, str] = {}
    for split, paths in splits.items():
        for path in paths:
            other = split_of.setdefault(path.resolve(), split)
            if other != split:
                raise InputError(
                    f"{str(path)!r} is a shard of {other} and of {split}: name each in one split."
                )


def _refuse(error: OSError) -> None:
    raise InputError(f"Cannot read the folder {error.filename!r}: {error.strerror}.") from error
