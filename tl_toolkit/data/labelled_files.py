"""Files with labels, and the copies and near-duplicates among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tl_toolkit.catalog import TEST, TRAIN, VALIDATION, ValueRange
from tl_toolkit.data.file_names import printable
from tl_toolkit.data.kept_together import group_keys
from tl_toolkit.data.thumbnail_store import near_duplicate_files
from tl_toolkit.progress import SILENT, Progress


@dataclasses.dataclass(frozen=True, slots=True)  # there may be a million
class LabelledFile:
    """A file that should be an image; `fault` says why it cannot be used."""

    path: str
    label: int
    digest: str = ""
    fault: str = ""


def without_contradictions(files: list[LabelledFile]) -> list[LabelledFile]:
    """Returns the files, with a fault for each whose copy has another label."""
    first: dict[str, LabelledFile] = {}
    for file in files:
        if file.digest:
            first.setdefault(file.digest, file)
    contradicted = {f.digest: f for f in files if f.digest and first[f.digest].label != f.label}
    if not contradicted:
        return files

    def fault(file: LabelledFile) -> str:
        if file.digest not in contradicted:
            return file.fault
        ends = (first[file.digest], contradicted[file.digest])
        other = ends[0] if ends[0].label != file.label else ends[1]
        return f"the same image is also in another class: {printable(other.path)}"

    return [dataclasses.replace(file, fault=fault(file)) for file in files]


def group_copies(
    files: dict[str, list[LabelledFile]],
    seen: dict[str, np.ndarray] | None = None,
    progress: Progress = SILENT,
    given: dict[str, list[str]] | None = None,
    value_range: ValueRange | None = None,
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Finds which files must not be parted: copies, near-duplicates, and those of one group that was given.

    Args:
        files: Of each split.
        seen: Of `check_files`; None: near-duplicates are not looked for.
        progress: Shows the search.
        given: Each file's group, "" for none; None: there are none.
        value_range: By which the photos are scaled.

    Returns:
        str[files] of each split, equal for files that belong together; and notes.
    """
    every_file = [file for some in files.values() for file in some]
    digests = [file.digest for file in every_file]
    near: list[tuple[str, str]] = []
    if seen is not None:
        paths = [file.path for file in every_file]
        near = near_duplicate_files(paths, digests, seen, progress, value_range)
    names = [name for some in (given or {}).values() for name in some]
    ends = np.cumsum([0, *map(len, files.values())])
    keys = group_keys(digests, near, names)
    return (
        {split: keys[ends[k] : ends[k + 1]] for k, split in enumerate(files)},
        notes_on_copies(
            {split: [file.digest for file in some] for split, some in files.items()}, near
        ),
    )


def notes_on_copies(
    digests: Mapping[str, Sequence[str] | np.ndarray], near: Sequence[tuple[str, str]] = ()
) -> list[str]:
    """Returns notes on what stands twice.

    Args:
        digests: Of the files, by split.
        near: Pairs of digests of near-duplicates.
    """
    notes = []
    train = np.unique(np.asarray(digests[TRAIN], str))
    copies = len(digests[TRAIN]) - len(train)
    if copies:
        notes.append(f"{copies} images are copies of others; copies stay in one split")
    in_pairs = np.unique(np.array(near, str))
    trained_on = set(in_pairs[np.isin(in_pairs, train)].tolist())
    alike = {digest for pair in near if trained_on.issuperset(pair) for digest in pair}
    if alike:
        notes.append(f"{len(alike)} images are near-duplicates of others; they stay in one split")
    partners: dict[str, set[str]] = {}
    for a, b in near:
        partners.setdefault(a, set()).add(b)
        partners.setdefault(b, set()).add(a)
    for split in (VALIDATION, TEST):
        own = np.asarray(digests.get(split, ()), str)
        is_shared = np.isin(own, train)
        if is_shared.any():
            notes.append(
                f"{is_shared.sum()} {split} images are also training images: their figures will be too high"
            )
        rest = own[~is_shared].tolist() if near else []
        close = sum(not trained_on.isdisjoint(partners.get(digest, ())) for digest in rest)
        if close:
            notes.append(
                f"{close} {split} images are near-duplicates of training images: their figures will be too high"
            )
    return notes
